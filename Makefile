# Hearth. `make` builds build/hearth and build/libhearth.a; `make run` and `make test` do their own set-up first.
# Variables: BUILD (output folder), SAN (sanitizers, e.g. address,undefined), CC, PREFIX, DESTDIR.

CC      ?= cc
PREFIX  ?= /usr/local
SAN     ?=
BUILD   ?= build$(if $(SAN),/$(subst $(comma),-,$(SAN)))
comma   := ,
ARCH    := $(shell $(CC) -dumpmachine | cut -d- -f1)

LIBS    := libpcre2-8 libutf8proc jansson
WARN    := -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wstrict-prototypes -Werror=implicit-function-declaration
CFLAGS  ?= -O2 -g
# Every instruction set gives the same bits only if no compiler fuses a product and a sum on its own.
HCFLAGS  = -std=c17 $(WARN) -ffp-contract=off -fno-math-errno -fPIC -Isrc -Iinclude $(BASE_ISA) \
           $(shell pkg-config --cflags $(LIBS) 2>/dev/null) $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all)
HLDLIBS  = $(shell pkg-config --libs $(LIBS) 2>/dev/null) -lpthread -lm
HLDFLAGS = $(if $(SAN),-fsanitize=$(SAN))

# Instruction-set flags by folder.
ifeq ($(ARCH),x86_64)
BASE_ISA    := -march=x86-64-v2
ISA_DIRS    := x86/avx2 x86/avx512
FLAGS_avx2   = -march=x86-64-v3
FLAGS_avx512 = -march=x86-64-v4 -mavx512vnni -mavx512bf16
else
BASE_ISA    :=
ISA_DIRS    :=
endif

ROOMS   := base tensor kernel kernel/ref gguf text graph model engine
LIB_SRC := $(foreach r,$(ROOMS),$(wildcard src/$(r)/*.c)) $(foreach d,$(ISA_DIRS),$(wildcard src/kernel/$(d)/*.c))
APP_SRC := $(wildcard src/app/*.c)
TESTS   := $(patsubst tests/%.c,$(BUILD)/tests/%,$(wildcard tests/*/test_*.c))
obj      = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))

.PHONY: all clean unit
all: $(BUILD)/libhearth.a $(if $(APP_SRC),$(BUILD)/hearth)

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(HCFLAGS) $(CFLAGS) $(FLAGS_$(notdir $(patsubst %/,%,$(dir $<)))) -MMD -MP -c $< -o $@

$(BUILD)/libhearth.a: $(call obj,$(LIB_SRC))
	rm -f $@ && $(AR) rcs $@ $^

$(BUILD)/hearth: $(call obj,$(APP_SRC)) $(BUILD)/libhearth.a
	$(CC) $(HLDFLAGS) $^ -o $@ $(HLDLIBS)

$(BUILD)/tests/%: $(BUILD)/obj/tests/%.o $(BUILD)/libhearth.a
	@mkdir -p $(@D)
	$(CC) $(HLDFLAGS) $^ -o $@ $(HLDLIBS) -lcmocka

unit: $(TESTS)
	@for t in $(TESTS); do echo "== $$t"; $$t || exit 1; done

clean:
	rm -rf build

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
