# Makefile: builds Hearth. `make help` lists what it can do.
#
# Everything is made under BUILD. Objects depend on a stamp of the flags, so another compiler or other flags rebuild them.
# Instruction sets beyond the machine's base line are enabled for the files of their own folder and for no others.

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDARY: # objects are kept

VERSION := 0.1.0
SOVERSION := 0# counts the incompatible changes of libhearth.so

CC         ?= cc
OBJCOPY    ?= $(or $(patsubst %-gcc,%-objcopy,$(filter %-gcc,$(CC))),objcopy)
PKG_CONFIG ?= pkg-config
PREFIX     ?= /usr/local
DESTDIR    ?=
BINDIR     ?= $(PREFIX)/bin
LIBDIR     ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
MANDIR     ?= $(PREFIX)/share/man
DATADIR    ?= $(PREFIX)/share/hearth
SAN        ?=
V          ?=
comma      := ,
BUILD      ?= build$(if $(SAN),/$(subst $(comma),-,$(SAN)))

# What needs no compiler and no library: it comes before the check of what is installed.
SELF_CONTAINED := page run test check-full check-ci fuzz clean help uninstall structure
NEEDS := $(filter-out $(SELF_CONTAINED),$(or $(MAKECMDGOALS),all))
ifneq ($(NEEDS),)
MISSING := $(shell CC='$(CC)' sh tools/setup.sh --check $(if $(filter check unit test-programs fuzzers,$(NEEDS)),test,build))
ifneq ($(MISSING),)
$(error $(MISSING))
endif
ARCH      := $(firstword $(subst -, ,$(shell $(CC) -dumpmachine)))
LIB_PKGS  := libpcre2-8 libutf8proc jansson
APP_PKGS  := libedit hwloc sqlite3 libsodium libxxhash
PC_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(LIB_PKGS) $(APP_PKGS))
LIB_LIBS  := $(shell $(PKG_CONFIG) --libs $(LIB_PKGS)) -lpthread -lm
# libevent-dev cannot be installed for two processors at once: for another one there is the library alone, with the same headers.
EVENT_LIBS := $(or $(shell $(PKG_CONFIG) --silence-errors --libs libevent_core),-l:libevent_core-2.1.so.7)
APP_LIBS  := $(shell $(PKG_CONFIG) --libs $(APP_PKGS)) $(EVENT_LIBS)
endif

WARN   := -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wstrict-prototypes -Werror=implicit-function-declaration
CFLAGS ?= -O2 -g
HARDEN := -fstack-protector-strong -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
SANFLAGS := $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all)
# -ffp-contract=off: every instruction set gives the same bits only if no compiler fuses a product and a sum on its own.
HCFLAGS = -std=c17 $(WARN) -ffp-contract=off -fno-math-errno -fPIC -fno-semantic-interposition -Isrc -Iinclude -Itests \
          -DHEARTH_VERSION='"$(VERSION)"' $(BASE_ISA) $(PC_CFLAGS) $(if $(SAN),$(SANFLAGS),$(HARDEN)) $(CPPFLAGS) $(CFLAGS)
HLDFLAGS = $(SANFLAGS) -Wl,--as-needed $(LDFLAGS)

# Instruction sets: folders of src/kernel, with the flags of each. BASE_ISA is what every file may use.
ifeq ($(ARCH),x86_64)
BASE_ISA     := -march=x86-64-v2
ISA_DIRS     := x86/sse42 x86/avx2 x86/avxvnni x86/avx512 x86/avx512bf16
FLAGS_sse42  := $(BASE_ISA)
FLAGS_avx2   := -march=x86-64-v3
FLAGS_avxvnni := -march=x86-64-v3 -mavxvnni
FLAGS_avx512 := -march=x86-64-v4 -mavx512vnni
FLAGS_avx512bf16 := $(FLAGS_avx512) -mavx512bf16
else ifeq ($(ARCH),aarch64)
ISA_DIRS      := arm/neon arm/dotprod arm/i8mm
FLAGS_dotprod := -march=armv8.2-a+dotprod
FLAGS_i8mm    := -march=armv8.2-a+dotprod+i8mm+bf16
endif
isa_flags = $(if $(filter $(addprefix src/kernel/,$(addsuffix /%,$(ISA_DIRS))),$(1)),$(FLAGS_$(notdir $(patsubst %/,%,$(dir $(1))))))

ROOMS   := base tensor kernel kernel/ref $(addprefix kernel/,$(ISA_DIRS)) gguf text graph model engine api
LIB_SRC := $(foreach r,$(ROOMS),$(wildcard src/$(r)/*.c src/$(r)/*.S))
APP_SRC := $(wildcard src/app/*.c)
# Rooms that the program stands on and libhearth does not: what they need, a user's program need not link.
OWN_ROOMS := store host serve
OWN_SRC   := $(foreach r,$(OWN_ROOMS),$(wildcard src/$(r)/*.c src/$(r)/*.S))
obj      = $(patsubst %.S,$(BUILD)/obj/%.o,$(patsubst %.c,$(BUILD)/obj/%.o,$(1)))

INTERNAL := $(BUILD)/libhearth-internal.a# all symbols: for the program and the tests
STATIC   := $(BUILD)/libhearth.a# only hearth_*: for users
SHARED   := $(BUILD)/libhearth.so.$(VERSION)
PAGE     := $(BUILD)/page/page_table.c# the files of web/dist, compressed, as C

TESTS        := $(patsubst tests/%.c,$(BUILD)/tests/%,$(wildcard tests/*/test_*.c))
TESTED       := $(patsubst tests/%.c,$(BUILD)/tests/%,$(wildcard tests/*/prog_*.c))# programs that scripts drive
FUZZERS      := $(patsubst tests/%.c,$(BUILD)/tests/%,$(wildcard tests/*/fuzz_*.c))
TEST_SUPPORT := $(call obj,$(wildcard tests/support/*.c))
EXAMPLES     := $(patsubst %.c,$(BUILD)/%,$(wildcard examples/*.c))

.PHONY: all lib page examples run test test-programs oracles check unit check-ci check-full fuzz fuzzers structure docs install uninstall clean help bench bench-serve bench-kernels bench-grammar bench-speculate FORCE

all: lib $(if $(APP_SRC),$(BUILD)/hearth) ## build the program and libhearth (the default)
lib: $(INTERNAL) $(if $(SAN),,$(STATIC) $(SHARED))

# ---- compiling

# A line for each step; V=1 shows whole commands.
Q = $(if $(V),,@echo '  $(1)';)

FLAGS := $(CC) $(HCFLAGS) $(HLDFLAGS) $(LIB_LIBS) $(APP_LIBS) $(foreach d,$(notdir $(ISA_DIRS)),$(FLAGS_$(d)))
$(BUILD)/flags: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(subst ','\'',$(FLAGS))' | cmp -s - $@ || printf '%s\n' '$(subst ','\'',$(FLAGS))' >$@

$(BUILD)/obj/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call Q,CC   $<)$(CC) $(HCFLAGS) $(call isa_flags,$<) -MMD -MP -c $< -o $@

$(BUILD)/obj/%.o: %.S $(BUILD)/flags
	@mkdir -p $(@D)
	$(call Q,AS   $<)$(CC) $(CPPFLAGS) -MMD -MP -c $< -o $@

$(BUILD)/obj/src/model/embedded_model.o: models/ember/ember.gguf
$(BUILD)/obj/src/store/embedded_prices.o: share/prices.ini

$(PAGE): tools/embed_page.sh $(wildcard web/dist/*)
	@mkdir -p $(@D)
	$(call Q,PAGE $@)sh tools/embed_page.sh web/dist >$@

$(BUILD)/obj/page_table.o: $(PAGE) $(BUILD)/flags
	@mkdir -p $(@D)
	$(call Q,CC   $<)$(CC) $(HCFLAGS) -MMD -MP -c $< -o $@

# An archive is written afresh, so that no object of a file that is gone stays in it.
$(INTERNAL): $(call obj,$(LIB_SRC) $(OWN_SRC)) $(BUILD)/obj/page_table.o
	@rm -f $@
	$(call Q,AR   $@)$(AR) rcs $@ $^

# One object whose only global names are those of hearth.h: a user's own log_line or mem_alloc does not collide with ours.
$(STATIC): $(call obj,$(LIB_SRC))
	@rm -f $@
	$(call Q,AR   $@)$(CC) -r -nostdlib -o $(BUILD)/hearth-all.o $^ && \
	$(OBJCOPY) -w --keep-global-symbol='hearth_*' $(BUILD)/hearth-all.o && \
	$(AR) rcs $@ $(BUILD)/hearth-all.o && rm -f $(BUILD)/hearth-all.o

$(SHARED): $(call obj,$(LIB_SRC)) src/libhearth.map
	$(call Q,LD   $@)$(CC) -shared $(HLDFLAGS) -Wl,-soname,libhearth.so.$(SOVERSION) -Wl,--version-script=src/libhearth.map \
	    -Wl,-z,relro,-z,now $(filter %.o,$^) -o $@ $(LIB_LIBS)
	@ln -sf $(@F) $(BUILD)/libhearth.so.$(SOVERSION)
	@ln -sf $(@F) $(BUILD)/libhearth.so

$(BUILD)/hearth: $(call obj,$(APP_SRC)) $(INTERNAL)
	$(call Q,LD   $@)$(CC) $(HLDFLAGS) $^ -o $@ $(LIB_LIBS) $(APP_LIBS)

page: ## bundle web/src into web/dist, which is part of the repository (needs node and npm)
	@sh web/build.sh $(BUILD)/web web/dist

examples: $(EXAMPLES) ## build examples/*.c against libhearth
$(BUILD)/examples/%: $(BUILD)/obj/examples/%.o $(STATIC)
	@mkdir -p $(@D)
	$(call Q,LD   $@)$(CC) $(HLDFLAGS) $^ -o $@ $(LIB_LIBS)

# ---- the two commands

CPUS := $(shell nproc 2>/dev/null || echo 1)
JOBS  = $(if $(filter -j%,$(MAKEFLAGS)),,-j$(CPUS))
export HEARTH_RUN_MODEL  := $(value MODEL)
export HEARTH_RUN_PROMPT := $(value PROMPT)

run: ## set up, build, and run: make run [MODEL=file.gguf] [PROMPT="..."] [N=400 tokens]
	@sh tools/setup.sh build
	@$(MAKE) -s --no-print-directory $(JOBS) all
	@prompt=$${HEARTH_RUN_PROMPT:-Once upon a time}; printf 'prompt: %s\n' "$$prompt"; \
	$(BUILD)/hearth run $${HEARTH_RUN_MODEL:+-m "$$HEARTH_RUN_MODEL"} -p "$$prompt" -n $(or $(N),400) </dev/null

test: ## set up, build, and run the tests (under five minutes on two cores)
	@sh tools/setup.sh test
	@$(MAKE) -s --no-print-directory $(JOBS) oracles all test-programs
	@$(MAKE) -s --no-print-directory $(JOBS) check

# ---- checking

test-programs: $(TESTS) $(TESTED) $(FUZZERS) $(EXAMPLES) $(BUILD)/tools/tables $(BUILD)/bench/mkmodel $(BUILD)/bench/kernels $(BUILD)/bench/grammar

oracles: # the official clients and reference packages that tests compare with, from PyPI and npm
	@sh tools/setup.sh oracles || echo "oracles: what needs these packages will be skipped"
	@sh tools/oracles.sh build/oracles

check: all test-programs # the tests, without the set-up
	@python3 tests/run.py $(BUILD)

unit: $(TESTS) $(TESTED) ## only the unit tests; ROOM=base: of one room
	@python3 tests/run.py $(BUILD) --only 'tests/$(or $(ROOM),*)/test_*.c'

$(BUILD)/tests/%: $(BUILD)/obj/tests/%.o $(TEST_SUPPORT) $(INTERNAL)
	@mkdir -p $(@D)
	$(call Q,LD   $@)$(CC) $(HLDFLAGS) $^ -o $@ $(LIB_LIBS) $(APP_LIBS) -lcmocka

# A fuzzer is a program of its own under clang's libFuzzer; everywhere else it replays the files of its corpus.
fuzzers: $(FUZZERS)
$(FUZZERS): $(BUILD)/tests/%: $(BUILD)/obj/tests/%.o $(if $(findstring fuzzer,$(SAN)),,$(call obj,tests/fuzz/replay.c)) $(TEST_SUPPORT) $(INTERNAL)
	@mkdir -p $(@D)
	$(call Q,LD   $@)$(CC) $(HLDFLAGS) $(if $(findstring fuzzer,$(SAN)),-fsanitize=fuzzer) $^ -o $@ $(LIB_LIBS) $(APP_LIBS)

fuzz: ## fuzz each reader for SECONDS (60)
	@sh tools/setup.sh full
	@sh tests/check.sh fuzz $(or $(SECONDS),60)

structure: # the order of the rooms, the size of files and functions
	@python3 tests/structure/check.py

check-ci: # what CI runs after `make test`, a quarter of an hour
	@sh tools/setup.sh full
	@sh tests/check.sh ci

check-full: ## everything: sanitizers, longer fuzzing, valgrind, every instruction set
	@sh tools/setup.sh full
	@$(MAKE) -s --no-print-directory oracles
	@sh tests/check.sh full

docs: $(BUILD)/tools/tables $(BUILD)/hearth ## rewrite the tables in README.md and the flags in man/hearth.1 from the code
	python3 tools/tables.py $(BUILD)/tools/tables README.md
	python3 tools/man.py $(BUILD)/hearth man/hearth.1

$(BUILD)/tools/tables: $(BUILD)/obj/tools/tables.o $(INTERNAL)
	@mkdir -p $(@D)
	$(call Q,LD   $@)$(CC) $(HLDFLAGS) $^ -o $@ $(LIB_LIBS)

# ---- measuring

bench: all $(BUILD)/bench/mkmodel $(BUILD)/bench/speculate ## measure beside the public peer and write bench/RESULTS.md (about an hour; QUICK=1: minutes; see bench/run.py)
	@HEARTH_BUILD=$(BUILD) QUICK=$(QUICK) python3 bench/run.py $(BENCH)

bench-serve: all $(BUILD)/bench/mkmodel ## measure the server beside the peer's and write bench/SERVE.md (about an hour; see bench/serve.py)
	@HEARTH_BUILD=$(BUILD) python3 bench/serve.py $(BENCH)

bench-kernels: $(BUILD)/bench/kernels ## measure every kernel of every instruction set; ONLY=word: those with it in their name
	@$(BUILD)/bench/kernels $(ONLY)

bench-grammar: $(BUILD)/bench/grammar ## what masks for grammars and JSON Schemas cost; VOCAB=file.gguf
	@$(BUILD)/bench/grammar $(VOCAB)

$(BUILD)/bench/%: $(BUILD)/obj/bench/%.o $(BUILD)/obj/src/app/peak.o $(INTERNAL)
	@mkdir -p $(@D)
	$(call Q,LD   $@)$(CC) $(HLDFLAGS) $^ -o $@ $(LIB_LIBS)

bench-speculate: $(BUILD)/bench/speculate ## what guessing gains and costs: make bench-speculate MODEL=file.gguf
	@$(BUILD)/bench/speculate $(or $(MODEL),models/ember/ember.gguf) $(if $(THREADS),-t $(THREADS))

$(BUILD)/bench/speculate: $(BUILD)/obj/bench/speculate.o $(filter-out %/main.o,$(call obj,$(APP_SRC))) $(INTERNAL)
	@mkdir -p $(@D)
	$(call Q,LD   $@)$(CC) $(HLDFLAGS) $^ -o $@ $(LIB_LIBS) $(APP_LIBS)

# ---- installing

install: all ## install under PREFIX (/usr/local), below DESTDIR if given
	install -d '$(DESTDIR)$(BINDIR)' '$(DESTDIR)$(LIBDIR)/pkgconfig' '$(DESTDIR)$(INCLUDEDIR)' '$(DESTDIR)$(MANDIR)/man1' '$(DESTDIR)$(DATADIR)'
	install -m 755 $(BUILD)/hearth '$(DESTDIR)$(BINDIR)/hearth'
	install -m 644 include/hearth.h '$(DESTDIR)$(INCLUDEDIR)/hearth.h'
	install -m 644 $(STATIC) '$(DESTDIR)$(LIBDIR)/libhearth.a'
	install -m 644 $(SHARED) '$(DESTDIR)$(LIBDIR)/libhearth.so.$(VERSION)'
	ln -sf libhearth.so.$(VERSION) '$(DESTDIR)$(LIBDIR)/libhearth.so.$(SOVERSION)'
	ln -sf libhearth.so.$(VERSION) '$(DESTDIR)$(LIBDIR)/libhearth.so'
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' -e 's|@INCLUDEDIR@|$(INCLUDEDIR)|' -e 's|@VERSION@|$(VERSION)|' \
	    -e 's|@REQUIRES@|$(LIB_PKGS)|' hearth.pc.in >'$(DESTDIR)$(LIBDIR)/pkgconfig/hearth.pc'
	install -m 644 man/hearth.1 '$(DESTDIR)$(MANDIR)/man1/hearth.1'
	install -m 644 share/prices.ini '$(DESTDIR)$(DATADIR)/prices.ini'

uninstall: ## remove what install put there
	rm -f '$(DESTDIR)$(BINDIR)/hearth' '$(DESTDIR)$(INCLUDEDIR)/hearth.h' '$(DESTDIR)$(MANDIR)/man1/hearth.1' '$(DESTDIR)$(DATADIR)/prices.ini'
	rm -f '$(DESTDIR)$(LIBDIR)/pkgconfig/hearth.pc' '$(DESTDIR)$(LIBDIR)/libhearth.a' '$(DESTDIR)$(LIBDIR)/libhearth.so'
	rm -f '$(DESTDIR)$(LIBDIR)/libhearth.so.$(SOVERSION)' '$(DESTDIR)$(LIBDIR)/libhearth.so.$(VERSION)'

clean: ## remove what was built
	rm -rf build

help: ## this list
	@sed -n 's/^\([a-z-]*\):.* ## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20
	@echo "Variables: BUILD (folder), CC, CFLAGS, SAN (for example address,undefined), V=1, PREFIX, DESTDIR."

ifneq ($(NEEDS),)
-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
endif
