/* alias.c: names of models that clients have built in; see alias.h. */
#include "serve/alias.h"

#include <string.h>

static const char built_in[] = "claude-*";

static bool fits(struct slice pattern, struct slice name) {
    if (!pattern.n || pattern.p[pattern.n - 1] != '*') return slice_eq(pattern, name);
    return name.n >= pattern.n - 1 && memcmp(name.p, pattern.p, pattern.n - 1) == 0;
}

int alias_check(const char *rule, struct err *e) {
    const char *equals = strchr(rule, '='), *star = strchr(rule, '*');
    char shown[80];
    err_quote(shown, sizeof shown, rule, strlen(rule));
    if (!equals || equals == rule) return err_set(e, ERR_USAGE, "alias: \"%s\" is not PATTERN=MODEL", shown);
    if (star && star < equals && star + 1 != equals) return err_set(e, ERR_USAGE, "alias: \"%s\": a * may only end the pattern", shown);
    return 0;
}

bool alias_find(const struct config_list *rules, struct slice name, struct slice *model) {
    *model = (struct slice){0};
    if (!name.n) return false;
    for (int i = 0; rules && i < rules->n; i++) {
        const char *equals = strchr(rules->at[i], '=');
        if (!equals || !fits((struct slice){rules->at[i], (size_t)(equals - rules->at[i])}, name)) continue;
        if (equals[1]) *model = slice_of(equals + 1);
        return true;
    }
    if (!fits(SLICE(built_in), name)) return false;
    *model = SLICE("");
    return true;
}
