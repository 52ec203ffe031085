/* schema_format.c: what strings of each format look like: one row each. The sources are the RFCs that JSON Schema's validation document (7.3)
 * names: 3339 (dates and times), 4122 (UUID), 5321 (mail), 1123 (hosts), 4291 (IPv6), 3986 and 3987 (URI, IRI), 6901 (JSON pointers). A leap second is
 * written in UTC only, and no label of a host has "--" in its third place (such are encoded names, which no automaton can judge).
 */
#include "text/schema_lang.h"

#define YEAR4 "[0-9][0-9](?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00" /* leap years */
#define DATE \
    "(?:[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))|(?:" YEAR4 ")-02-29)"
#define CLOCK "(?:[01][0-9]|2[0-3]):[0-5][0-9]"
#define TIME "(?:" CLOCK ":[0-5][0-9](?:[.][0-9]+)?(?:[Zz]|[+-]" CLOCK ")|23:59:60(?:[.][0-9]+)?(?:[Zz]|[+-]00:00))"

#define OCTET "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
#define IPV4 "(?:" OCTET "[.]){3}" OCTET
#define H16 "[0-9A-Fa-f]{1,4}"
#define LS32 "(?:" H16 ":" H16 "|" IPV4 ")"
#define IPV6 \
    "(?:(?:" H16 ":){6}" LS32 "|::(?:" H16 ":){5}" LS32 "|(?:" H16 ")?::(?:" H16 ":){4}" LS32 "|(?:(?:" H16 ":){0,1}" H16 ")?::(?:" H16 ":){3}" LS32 \
    "|(?:(?:" H16 ":){0,2}" H16 ")?::(?:" H16 ":){2}" LS32 "|(?:(?:" H16 ":){0,3}" H16 ")?::" H16 ":" LS32 "|(?:(?:" H16 ":){0,4}" H16 ")?::" LS32 \
    "|(?:(?:" H16 ":){0,5}" H16 ")?::" H16 "|(?:(?:" H16 ":){0,6}" H16 ")?::)"

#define AN "[A-Za-z0-9]"
#define ANH "[A-Za-z0-9-]"
#define LABEL "(?:" AN "|" AN AN "|" AN ANH AN "|" AN ANH ANH AN "|" AN ANH "(?:" AN ANH "|-" AN ")" ANH "{0,58}" AN ")"
#define HOST LABEL "(?:[.]" LABEL ")*"
#define ATOM "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
#define MAIL "(?:" ATOM "(?:[.]" ATOM ")*|\"(?:[ !#-\\[\\]-~]|\\\\[ -~])*\")@(?:" HOST "|\\[(?:" IPV4 "|IPv6:" IPV6 ")\\])"

/* URIs, with `more` as the characters beyond ASCII. */
#define UCS "\\u00a0-\\ud7ff\\uf900-\\ufdcf\\ufdf0-\\uffef\\u{10000}-\\u{1fffd}\\u{20000}-\\u{2fffd}\\u{30000}-\\u{3fffd}"
#define PRIVATE "\\ue000-\\uf8ff\\u{f0000}-\\u{ffffd}\\u{100000}-\\u{10fffd}"
#define HEX2 "%[0-9A-Fa-f]{2}"
#define PCHAR(more) "(?:[A-Za-z0-9._~!$&'()*+,;=:@" more "-]|" HEX2 ")"
#define NOCOLON(more) "(?:[A-Za-z0-9._~!$&'()*+,;=@" more "-]|" HEX2 ")"
#define USER(more) "(?:[A-Za-z0-9._~!$&'()*+,;=:" more "-]|" HEX2 ")*"
#define NAME(more) "(?:[A-Za-z0-9._~!$&'()*+,;=" more "-]|" HEX2 ")*"
#define AUTHORITY(more) "(?:" USER(more) "@)?(?:\\[(?:" IPV6 "|[vV][0-9A-Fa-f]+[.][A-Za-z0-9._~!$&'()*+,;=:-]+)\\]|" NAME(more) ")(?::[0-9]*)?"
#define PATH(more) "(?:/" PCHAR(more) "*)*"
#define TAIL(more, private) "(?:[?](?:" PCHAR(more private) "|[/?])*)?(?:#(?:" PCHAR(more) "|[/?])*)?"
#define SCHEME "[A-Za-z][A-Za-z0-9+.-]*:"
#define URI(more, private) SCHEME "(?://" AUTHORITY(more) PATH(more) "|/(?:" PCHAR(more) "+" PATH(more) ")?|" PCHAR(more) "+" PATH(more) "|)" TAIL(more, private)
#define REFERENCE(more, private) \
    "(?:(?:" SCHEME ")?(?://" AUTHORITY(more) PATH(more) "|/(?:" PCHAR(more) "+" PATH(more) ")?|)|" SCHEME PCHAR(more) "+" PATH(more) "|" NOCOLON(more) "+" PATH(more) \
    ")" TAIL(more, private)

#define POINTER "(?:/(?:[^~/]|~[01])*)*"
#define CLOCK_SPAN "T(?:[0-9]+H(?:[0-9]+M(?:[0-9]+S)?)?|[0-9]+M(?:[0-9]+S)?|[0-9]+S)"
#define DURATION \
    "P(?:[0-9]+W|(?:[0-9]+Y(?:[0-9]+M(?:[0-9]+D)?)?|[0-9]+M(?:[0-9]+D)?|[0-9]+D)(?:" CLOCK_SPAN ")?|" CLOCK_SPAN ")"

static const struct format {
    const char *name, *pattern;
    uint32_t max; /* characters */
} formats[] = {
    {"date", "^" DATE "$", GRAM_INF},
    {"time", "^" TIME "$", GRAM_INF},
    {"date-time", "^" DATE "[Tt]" TIME "$", GRAM_INF},
    {"duration", "^" DURATION "$", GRAM_INF},
    {"uuid", "^[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$", GRAM_INF},
    {"email", "^" MAIL "$", GRAM_INF},
    {"hostname", "^" HOST "$", 253},
    {"ipv4", "^" IPV4 "$", GRAM_INF},
    {"ipv6", "^" IPV6 "$", GRAM_INF},
    {"uri", "^" URI("", "") "$", GRAM_INF},
    {"uri-reference", "^" REFERENCE("", "") "$", GRAM_INF},
    {"iri", "^" URI(UCS, PRIVATE) "$", GRAM_INF},
    {"iri-reference", "^" REFERENCE(UCS, PRIVATE) "$", GRAM_INF},
    {"json-pointer", "^" POINTER "$", GRAM_INF},
    {"relative-json-pointer", "^(?:0|[1-9][0-9]*)(?:#|" POINTER ")$", GRAM_INF},
    {"byte", "^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$", GRAM_INF}, /* OpenAPI: base64 */
};

const struct lang *lang_format(struct langs *l, struct slice name, uint32_t *max) {
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        uint32_t none_min, none_max;
        if (!slice_is(name, formats[i].name)) continue;
        *max = formats[i].max;
        return lang_pattern(l, slice_of(formats[i].pattern), &none_min, &none_max);
    }
    return NULL;
}
