#!/usr/bin/env python3
"""Writes template_cases.json: small templates and what Python's Jinja2 makes of them, set up as the transformers library
sets it up for chat templates. Run from the repository root: python3 tests/text/mktemplates.py (needs jinja2 3.1)."""
import datetime
import json
import os

import jinja2
import jinja2.ext
import jinja2.sandbox

NOW = datetime.datetime(2026, 1, 31, 12, 0, 0)


class Generation(jinja2.ext.Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    def _body(self, caller):
        return caller()


class Namespace(jinja2.utils.Namespace):
    def __init__(*args, **kwargs):
        attrs = dict(*args[1:], **kwargs)
        for name in attrs:
            Namespace.check(name)
        jinja2.utils.Namespace.__init__(args[0], attrs)

    def __setitem__(self, name, value):
        Namespace.check(name)
        jinja2.utils.Namespace.__setitem__(self, name, value)

    @staticmethod
    def check(name):
        if isinstance(name, str) and name.startswith("_"):
            raise jinja2.exceptions.SecurityError("underscore")


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def environment(**options):
    env = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols], **options)
    env.filters["tojson"] = tojson
    env.globals.update(raise_exception=raise_exception, strftime_now=lambda format: NOW.strftime(format), namespace=Namespace)
    return env


ENV = environment()


def render(source, context):
    """The text, or None where Python raises anything."""
    try:
        text = ENV.from_string(source).render(**context)
        text.encode()
        return text
    except Exception:
        return None


CONTEXT = {
    "s": "Hello, World", "empty": "", "u": "Grüße 你好 🙂 ß", "lines": "one\ntwo\r\nthree\n\nfive", "padded": "  \t pad me \n",
    "html": "<a href=\"x\">Tom & 'Jerry'</a>", "i": 42, "neg": -7, "zero": 0, "big": 9007199254740993, "f": 3.75, "half": 2.5, "tiny": 1e-07,
    "huge": 1e22, "t": True, "no": False, "nothing": None, "list": [3, 1, 2], "words": ["banana", "Apple", "cherry", "apple"],
    "nested": [[1, 2], [3, [4, 5]]], "d": {"b": 1, "a": 2, "C": 3}, "deep": {"x": {"y": {"z": [10, 20]}}, "items": "mine", "_p": 1},
    "users": [{"name": "Zoe", "age": 30, "city": "Rome"}, {"name": "adam", "age": 25, "city": "Oslo"}, {"name": "Bob", "age": 30, "city": "rome"}],
    "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi {{ there }}"}, {"role": "assistant", "content": None}],
    "mixed": [1, "a", 2.5, True, None, [1], {"k": "v"}], "floats": [1.5, 2.25, -0.5], "e": [], "o": {},
    "tree": [{"v": 1, "c": [{"v": 2, "c": []}, {"v": 3, "c": [{"v": 4, "c": []}]}]}, {"v": 5, "c": []}],
    "long": "The quick brown fox jumps over the lazy dog. well-known state-of-the-art Supercalifragilisticexpialidocious -- end",
}

EXPRESSIONS = r"""
1 + 2 * 3|- 2 ** 3 ** 2|-2 ** 2|(1 + 2) * 3|7 // 2|-7 // 2|7 // -2|7 % 3|-7 % 3|7 % -3|7 / 2|6 / 3|2 ** -1|2 ** 0.5|7.5 // 2|-7.5 % 2|7.5 % -2
1 / 0|1 // 0|1 % 0|1.0 / 0|0 ** -1|9223372036854775807|2 ** 62|-9223372036854775807 - 1|1_000|0x1F|0b101|0o17|1e3|1.5e-7|1e16|1e15|123456789.123456789|.5
0.1 + 0.2|1e22|1e-5|100.0|1.0|-0.0|5.0 // 2|1e308 * 10|true + true|true and 5|0 or 'x'|none or []|not 1|not not 0|1 < 2 < 3|1 < 3 < 2|1 == 1.0|1 == true
'a' < 'b'|'a' < 1|[1, 2] < [1, 3]|(1, 2) == (1, 2)|[1] == (1,)|{'a': 1} == {'a': 1.0}|none == none|1 != 2|'a' in 'cab'|1 in [1, 2]|'x' not in d|'b' in d|1 in 'a'
missing in [1]|1 in missing|'a' ~ 1 ~ none ~ true ~ 2.0 ~ missing|'a' + 'b'|'a' + 1|[1] + [2]|(1,) + (2,)|[1] + (2,)|'ab' * 3|3 * 'ab'|[1, 2] * 2|'a' * -1|2 * (1,)
'yes' if t else 'no'|'yes' if no|('yes' if no) is defined|'a' if no else 'b' if no else 'c'|1 if 0 else 2 if 1|(1, 2)|(1,)|()|[1, 'a', none, true, 1.0]|{'a': 1, 'b': [1, 2]}
{1: 'a', none: 'b', true: 'c'}|{'a': 1, 'a': 2}|{[1]: 2}|"it's"|'say "hi"'|['it\'s', "both ' and \""]|['tab\t nl\n \\ é 🙂 \x07 \u200b']|'\x41\u00e9\n\101'|'a' 'b' "c"|'\d\w'
s[0]|s[-1]|s[100]|s[1:4]|s[:-3]|s[::-1]|s[::2]|s[5:1:-1]|s[10:2]|u[0]|u[2:6]|u[::-1]|u[8]|list[0]|list[-1]|list[5]|list[5] is defined|list[1:]|list[::-1]|list[::0]
(1, 2, 3)[1:]|list['x']|list[1.0]|list[true]|d['a']|d.a|d.zz|d['zz'].q|deep.x.y.z[1]|deep['x']['y'].z|deep['items']|d.keys()|d.values()|d.items()
d.items()[0]|d.get('a')|d.get('q')|d.get('q', 5)|d.pop('a')|list.append(4)|d.update({})|list.pop()|d.clear|d.clear is defined|missing|missing.x|missing['x']|missing()|s()|s.nope|s.nope()
nothing.x|nothing.x.y|i.real_nope|s.__class__|d.__class__|s['upper']()|s.upper().lower()|range(5)|range(5)|range(2, 8, 3)|range(5, 0, -2)|range(0)|range(3)[1]|range(10)[2:5]
range(3) == [0, 1, 2]|range(1, 2, 0)|range(100001)|dict(a=1, b=2)|dict([('a', 1)], b=2)|dict({'x': 1})|dict(1)|namespace(a=1).a|namespace(a=1).b|namespace(a=1)['a']|namespace(_a=1)
strftime_now('%Y-%m-%d')|strftime_now('%d %b %Y, %H:%M:%S %A %j %f|%z%Z| 100%')|strftime_now('')|strftime_now(1)|raise_exception('no: ' ~ i)|raise_exception()
tiny|huge|big|f|half|neg|nested|mixed|users|t|nothing|u|html|[u]|[html]|deep|{'a': {'b': (1,)}}|(list, d)|floats|[1e22, 1e-7, 0.1]
s.upper()|u.upper()|u.lower()|s.title()|"they're bill's".title()|s.capitalize()|u.capitalize()|s.swapcase()|'ŉ ǅ ﬁ'.upper()|'ΑΣ ΑΣΑ Σ'.lower()|'Straße'.casefold()|'ǆ'.title()
padded.strip()|[padded.lstrip()]|[padded.rstrip()]|'xxabcxx'.strip('x')|'abc'.strip('ca')|'abc'.lstrip('ba')|s.strip(1)|s.strip(none)|'\u3000a\u00a0'.strip()|[s.strip('')]
s.split()|s.split(', ')|s.split(',', 1)|' a  b c '.split()|' a  b  c '.split(none, 1)|[' a  b  c '.rsplit(none, 1)]|'a,b,c'.rsplit(',', 1)|'a,b,c'.rsplit(',')|s.split('')|'a,,b'.split(',')|s.split(sep=',', maxsplit=0)
''.split()|''.split(',')|lines.splitlines()|lines.splitlines(true)|'\n\n'.splitlines()|'a\x0bb\u2028c'.splitlines()|s.startswith('Hell')|s.startswith('ell', 1)|s.startswith(('x', 'H'))|s.endswith('d')
s.endswith(('a', 'ld'))|s.endswith('Hello', 0, 5)|s.startswith(1)|s.startswith('')|s.replace('l', 'L')|s.replace('l', 'L', 2)|'abc'.replace('', '-')|'abc'.replace('', '-', 2)|s.replace('zz', 'q')|s.replace(1, 2)
s.find('o')|s.find('o', 5)|s.find('zz')|s.rfind('o')|s.rfind('o', 0, 5)|s.index('W')|s.index('zz')|s.rindex('l')|u.find('你')|s.count('l')|'aaaa'.count('aa')|s.count('')|s.count('l', 3, 5)|s.find('', 50)
', '.join(words)|', '.join(list)|'-'.join('abc')|','.join(d)|''.join([])|s.join(5)|'abc'.center(9)|'abc'.center(8, '*')|'abcd'.center(7, '*')|'abc'.ljust(6) ~ '|'|'abc'.rjust(6, '0')|'abc'.center(9, 'xy')
'42'.zfill(5)|'-42'.zfill(5)|'+1'.zfill(4)|''.zfill(2)|'a\tb'.expandtabs()|'ab\tc'.expandtabs(4)|'a-b-c'.partition('-')|'a-b-c'.rpartition('-')|'abc'.partition('-')|'abc'.rpartition('-')|s.removeprefix('Hello')|s.removesuffix('World')
'123'.isdigit()|'12a'.isdigit()|''.isdigit()|'²'.isdigit()|'²'.isdecimal()|'½'.isnumeric()|'abc'.isalpha()|u.isalpha()|'aé你'.isalpha()|'a1'.isalnum()|'a 1'.isalnum()|' \t'.isspace()|''.isspace()|'abc'.islower()|'aBc'.islower()
'ABC'.isupper()|'A1'.isupper()|'1'.isupper()|'Abc Def'.istitle()|'abc'.istitle()|'abc'.isascii()|u.isascii()|'a\n'.isprintable()|'abc'.isprintable()|list.index(2)|list.index(9)|list.count(1)|(1, 2, 1).count(1)|(1, 2).index(2)|d.copy()|list.copy()
'{} {}'.format(1, 'a')|'{1} {0}'.format('a', 'b')|'{x}'.format(x=3)|'{0.x}{0[x]}'.format({'x': 1})|'{}'.format()|'{{}}'.format(1)|'{!r} {!s}'.format('a', 'b')|'{:>5}|{:<5}|{:^5}|'.format('a', 'b', 'c')|'{:*^7}'.format('é')
'{:05d} {:+d} {:x} {:#x} {:b} {:o} {:X} {:c}'.format(42, 42, 255, 255, 5, 8, 255, 65)|'{:.2f} {:e} {:g} {:%} {:.1%}'.format(3.14159, 12345.678, 0.00001, 0.5, 0.123)|'{:,} {:_} {:,.2f}'.format(1234567, 1234567, 1234567.891)
'{:{w}}|'.format('a', w=4)|'{:10.3}|'.format(3.14159)|'{:.3}'.format(123.0)|'{:.3}'.format(1234.0)|'{:5}|{:<5}|'.format(42, 42)|'{:05}'.format(-3)|'{:=+6}'.format(3)|'{:d}'.format('a')|'{:s}'.format(1)|'{} {0}'.format(1)|'{'.format()|'}'.format()
'{:.2}'.format('abc')|'{:5}|'.format(none)|'{}'.format(none)|'{:5}|'.format(true)|'{a[0]}{a[1][1]}'.format(a=nested)|'{0[k]}'.format({'k': 'v'})|'{:08.3f}'.format(-3.14159)|'{:,}'.format(-1234.5)|'{:09,}'.format(1234)|'{:n}'.format(5)|'{:g}'.format(1e10)
'%s %d %r' % ('a', 5, 'b')|'%5s|%-5s|' % ('a', 'b')|'%05d %+d %x %X %o %#x' % (42, 42, 255, 255, 8, 255)|'%.2f %e %g %.3g' % (3.14159, 12345.678, 0.00001, 1234.5)|'%s' % 5|'%s' % 'x'|'%s %s' % 'x'|'%s' % (1, 2)|'%d' % 'a'|'%d' % 3.9
'%(a)s %(b)d' % {'a': 1, 'b': 2}|'%(zz)s' % d|'%%' % ()|'%c%c' % (65, 'b')|'%s' % [1]|'%s' % none|'%.2s|' % 'abc'|'%*d' % (5, 42)|'%.*f' % (1, 2.55)|'%i %u' % (1, 2)|'%q' % 1|'%' % 1|'%s' % d|'%.3d' % 5|'%x' % 1.5
"""

FILTERS = r"""
neg|abs ; f|abs ; 's'|abs ; true|abs ; missing|abs ; d|attr('a') ; d|attr('items')|string is string ; s|attr('nope') ; [1,2,3,4,5]|batch(2)|list ; [1,2,3]|batch(2, 'x')|list ; e|batch(2)|list ; s|batch(5)|list
s|capitalize ; 'hELLO wORLD'|capitalize ; 42|capitalize ; none|capitalize ; missing|capitalize ; 'abc'|center(9) ; 'abc'|center|length ; missing|default('x') ; nothing|default('x') ; nothing|default('x', true) ; ''|d('x', boolean=true) ; missing|default ; 0|d(1, 1)
d|dictsort ; d|dictsort(true) ; d|dictsort(by='value') ; d|dictsort(reverse=true) ; d|dictsort(by='x') ; missing|dictsort ; {'b': 1, 1: 2}|dictsort ; html|e ; html|escape|escape ; html|e|forceescape ; 5|e ; ('<'|e) + '<' ; '<' + ('<'|e) ; ('<'|e) ~ '<' ; [('<'|e)]
1|filesizeformat ; 999|filesizeformat ; 1000|filesizeformat ; 1234567|filesizeformat ; 1234567|filesizeformat(true) ; 1e30|filesizeformat ; '1500'|filesizeformat ; 1536|filesizeformat(binary=true) ; 2e27|filesizeformat ; missing|filesizeformat
list|first ; e|first ; (e|first) is defined ; 'abc'|first ; d|first ; '3.7'|float ; 'x'|float ; 'x'|float(1.5) ; none|float ; '1e3'|float ; ' 12 '|float ; 'inf'|float ; '1_0'|float ; true|float ; '%s-%s'|format(1, 2) ; '%(a)s'|format(a=1) ; '%s'|format(1, a=2) ; ('<%s>'|safe)|format('<')
users|groupby('city') ; users|groupby('age')|map('first')|list ; users|groupby('city', case_sensitive=true)|length ; users|groupby('zz', default='q')|list ; (users|groupby('age'))[0].grouper ; (users|groupby('age'))[0].list|length
lines|indent ; lines|indent(2, true) ; lines|indent(2, blank=true) ; lines|indent('> ') ; lines|indent(first=true, width=1) ; ''|indent ; 5|indent ; 'a\nb'|indent(-1)
'42'|int ; '42.9'|int ; 'x'|int ; 'x'|int(7) ; '0x1F'|int(base=16) ; '1F'|int(0, 16) ; 'z'|int(0, 36) ; '0b11'|int(0, 2) ; '077'|int(0, 8) ; 3.9|int ; -3.9|int ; none|int ; true|int ; ' 5 '|int ; '1_000'|int ; [1]|int ; '-5'|int ; '+5'|int ; 'inf'|int(3) ; missing|int ; '1e2'|int ; ''|int ; '0x1F'|int(base=0)
d|items|list ; missing|items|list ; list|items|list ; list|join ; list|join(', ') ; words|join(1) ; users|join('/', attribute='name') ; missing|join('x') ; 5|join ; mixed|join('|') ; 'abc'|join('-') ; [html|e, '<']|join ; d|join
list|last ; e|last ; 'abc'|last ; d|last ; d.keys()|last ; (list|map('string'))|last ; list|length ; s|length ; u|length ; d|length ; missing|length ; 5|length ; none|length ; list|count ; (list|map('string'))|length ; 'abc'|list ; d|list ; missing|list ; 5|list ; d.items()|list ; u|list
s|lower ; 5|lower ; none|lower ; users|map(attribute='name')|list ; users|map(attribute='zz', default='?')|list ; users|map(attribute='name')|map('upper')|join(',') ; list|map('nope')|list ; e|map('upper')|list ; words|map('replace', 'a', 'A')|list ; [[1,2],[3]]|map('first')|list ; [[1,2],[3,4]]|map(attribute=1)|list ; [deep]|map(attribute='x.y.z.0')|list ; missing|map('upper')|list ; none|map('upper')|list ; 5|map('upper')|list ; list|map(attribute='x', zz=1)|list
list|max ; list|min ; words|max ; words|min ; words|min(case_sensitive=true) ; words|max(true) ; users|max(attribute='age') ; users|min(attribute='name') ; e|max ; mixed|max ; 'hello'|max ; d|min
list|pprint ; {'b': 1, 'a': [1, 2]}|pprint ; [words, words, words, words]|pprint ; {'key': words * 5, 'a': 1}|pprint ; s|pprint ; (1,)|pprint ; users|pprint
list|reject('odd')|list ; list|reject|list ; users|rejectattr('age', 'eq', 30)|map(attribute='name')|list ; s|replace('l', 'L') ; s|replace('l', 'L', 1) ; 5|replace(5, 6) ; s|replace('l') ; none|replace('N', 'n') ; missing|replace('a', 'b')
list|reverse|list ; s|reverse ; u|reverse ; 5|reverse ; d|reverse|list ; (list|reverse) is iterable ; (1,2)|reverse|list ; 2.5|round ; 3.5|round ; 2.675|round(2) ; 42.55|round(1, 'floor') ; 42.51|round(1, 'ceil') ; 5|round ; 1234|round(-2) ; 1250|round(-2) ; 1.5|round(method='x') ; -2.5|round ; 's'|round ; 42|round(0, 'ceil') ; 1e300|round(2) ; 0.5|round|int ; 5.015|round(2) ; true|round
html|safe ; ('<b>'|safe) + '<' ; '<' ~ ('<b>'|safe) ; ('<b>'|safe).upper() ; ('<b>'|safe)[0] is escaped ; ('a'|safe).join(['<', '>']) ; ('<{}>'|safe).format('<') ; ('<%s>'|safe) % '<' ; ('x'|safe).replace('x', '<') ; ('x'|safe) * 2 is escaped ; ('a b'|safe).split() ; 'x'|safe is string ; ('x'|safe|string) is escaped ; ('x'|safe) == 'x'
list|select('odd')|list ; list|select|list ; mixed|select('string')|list ; list|select('gt', 1)|list ; list|select('>', 1)|list ; list|select('in', [1, 2])|list ; list|select('nope')|list ; users|selectattr('age')|list|length ; users|selectattr('age', '==', 30)|map(attribute='name')|join(',') ; users|selectattr('zz', 'defined')|list ; users|selectattr('zz', 'undefined')|list|length ; messages|selectattr('content', 'none')|list|length ; users|selectattr|list ; list|select('divisibleby', 2)|list ; list|select('sameas', 1)|list ; messages|selectattr('role', 'in', ['user', 'system'])|map(attribute='role')|list
[1,2,3,4,5,6,7]|slice(3)|list ; [1,2,3]|slice(2, 'x')|list ; [1,2,3,4]|slice(3, 'x')|list ; list|slice(0)|list ; e|slice(2)|list ; list|sort ; list|sort(reverse=true) ; words|sort ; words|sort(case_sensitive=true) ; words|sort(true) ; users|sort(attribute='age')|map(attribute='name')|list ; users|sort(attribute='age,name')|map(attribute='name')|list ; users|sort(attribute='age', reverse=true)|map(attribute='name')|list ; mixed|sort ; 'hello'|sort ; d|sort ; [none, 1]|sort ; [[2, 1], [1, 5]]|sort ; [true, 0, 2.5]|sort
5|string ; none|string ; 1.0|string ; list|string ; missing|string ; '<p>Hi  <b>there</b></p> <!-- x --> &amp; &lt; you'|striptags ; html|striptags ; '<!-- a <b> --> x'|striptags ; 5|striptags ; '&#39;&#x41;&quot;'|striptags
list|sum ; floats|sum ; users|sum(attribute='age') ; list|sum(start=10) ; words|sum ; e|sum ; [[1], [2]]|sum(start=[]) ; missing|sum ; s|title ; 'hello-world (foo) [bar] {baz} <qux> o\'neil'|title ; 'HELLO wORLD'|title ; 5|title ; 'ß a'|title ; 'ΑΒΣ ΑΣ-ΣΣ'|title
d|tojson ; users|tojson ; u|tojson ; u|tojson(ensure_ascii=true) ; nested|tojson(indent=2) ; d|tojson(indent=4) ; {'z': 1, 'a': {'y': 2, 'b': []}}|tojson(indent=1, sort_keys=true) ; d|tojson(sort_keys=true) ; mixed|tojson ; 'a"b\\c\n\t\x01/<>&\x7f'|tojson ; 1.0|tojson ; 1e22|tojson ; 1e-7|tojson ; none|tojson ; true|tojson ; missing|tojson ; {1: 2, none: 3, true: 4, 1.5: 5}|tojson ; (1, 2)|tojson ; range(3)|tojson ; d.items()|tojson ; list|tojson(separators=(',', ':')) ; d|tojson(separators=(',', ':'), indent=2) ; {}|tojson(indent=2) ; []|tojson(indent=2) ; {'a': []}|tojson(indent='\t') ; {(1,): 2}|tojson ; '\u2028'|tojson ; 'inf'|float|tojson ; d|tojson(indent=0) ; {'a': html|safe}|tojson
padded|trim ; 'xxabcxx'|trim('x') ; 5|trim ; none|trim ; missing|trim ; [padded|trim] ; s|truncate(9) ; s|truncate(9, true) ; s|truncate(5, true, '') ; s|truncate(8, leeway=0) ; s|truncate(9, false, '…', 0) ; s|truncate(2) ; long|truncate(20) ; long|truncate(20, true) ; long|truncate(length=15, end='>>', leeway=2) ; 'averyverylongword'|truncate(8, leeway=0) ; u|truncate(5, true, '', 0)
words|unique|list ; words|unique(true)|list ; [1, 1.0, true, 2]|unique|list ; users|unique(attribute='age')|map(attribute='name')|list ; nested|unique|list ; s|upper ; 5|upper ; none|upper ; 'a b&c/d?é'|urlencode ; {'a b': 'c&d', 'x': 1}|urlencode ; [('a', 'b c')]|urlencode ; 5|urlencode ; [1]|urlencode ; ''|urlencode
s|wordcount ; long|wordcount ; u|wordcount ; ''|wordcount ; 'a_b c-d'|wordcount ; long|wordwrap(20) ; long|wordwrap(10) ; long|wordwrap(10, false) ; long|wordwrap(10, break_on_hyphens=false) ; long|wordwrap(30, wrapstring='|') ; lines|wordwrap(3) ; long|wordwrap(0) ; '  a  b  '|wordwrap(2) ; 'a--b c---d e-f gh-ij-kl'|wordwrap(4) ; ''|wordwrap ; u|wordwrap(4)
{'a': 1, 'b': none, 'c': '<'}|xmlattr ; {'a': 1}|xmlattr(false) ; {'a b': 1}|xmlattr ; {}|xmlattr ; list|xmlattr ; s|nope ; s|upper|lower|title ; s|upper() ; s|upper(1) ; s|replace ; s|trim(chars='H') ; s|trim(x=1) ; s|default(1, 2, 3)
"""

TESTS = r"""
t is boolean ; 1 is boolean ; range is callable ; s is callable ; missing is callable ; s is defined ; missing is defined ; d.zz is defined ; missing is undefined ; 6 is divisibleby 3 ; 7 is divisibleby(3) ; 7 is divisibleby 0 ; 1 is eq 1 ; 1 is equalto 1.0 ; 's' is eq('s') ; (s|e) is escaped ; s is escaped
4 is even ; 3 is even ; 4.0 is even ; 's' is even ; no is false ; 0 is false ; t is true ; 1 is true ; 'upper' is filter ; 'nope' is filter ; 'odd' is test ; 'zz' is test ; f is float ; 1 is float ; 2 is ge 2 ; 1 is gt 2 ; 1 is lt 2 ; 1 is le 1 ; 1 is ne 2 ; 1 is lessthan 2 ; 1 is greaterthan 2
1 is in [1, 2] ; 'a' is in 'abc' ; 1 is not in [2] ; 1 is integer ; true is integer ; 1.0 is integer ; s is iterable ; 5 is iterable ; d is iterable ; missing is iterable ; none is iterable ; (list|map('upper')) is iterable ; 'abc' is lower ; 'aBc' is lower ; 5 is lower ; 'ABC' is upper ; d is mapping ; list is mapping ; namespace(a=1) is mapping
none is none ; 0 is none ; missing is none ; 1 is number ; 1.5 is number ; true is number ; 's' is number ; 3 is odd ; 2 is odd ; none is odd ; none is sameas none ; list is sameas list ; [1] is sameas [1] ; true is sameas 1 ; s is sequence ; list is sequence ; d is sequence ; 5 is sequence ; (1,) is sequence ; d.items() is sequence ; range(3) is sequence ; (list|map('upper')) is sequence ; missing is sequence
s is string ; 5 is string ; none is string ; s is not string ; 5 is not number ; not s is string ; s is string and 5 is number ; s is nope ; s is string(1) ; 1 is eq ; 1 is defined is true ; 3 is odd if t else 0 ; [1, 2] is eq [1, 2] ; 1 is eq 1 == true ; -1 is lt 0
"""

STATEMENTS = [
    # loops
    "{% for x in list %}{{ x }},{% endfor %}", "{% for x in e %}{{ x }}{% else %}none{% endfor %}", "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}",
    "{% for k in d %}{{ k }}{% endfor %}", "{% for c in u %}[{{ c }}]{% endfor %}", "{% for x in missing %}x{% else %}empty{% endfor %}", "{% for x in 5 %}{% endfor %}", "{% for x in none %}{% endfor %}",
    "{% for x in list %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.depth }}{{ loop.depth0 }};{% endfor %}",
    "{% for x in list %}{{ loop.previtem|default('-') }}<{{ x }}>{{ loop.nextitem|default('-') }} {% endfor %}", "{% for x in list %}{{ loop.cycle('a', 'b') }}{% endfor %}", "{% for x in list %}{{ loop.cycle() }}{% endfor %}",
    "{% for x in [1, 1, 2, 2, 1] %}{{ loop.changed(x) }} {% endfor %}", "{% for x in list if x > 1 %}{{ x }}{{ loop.length }}{{ loop.last }}{% else %}no{% endfor %}", "{% for x in list if x > 9 %}{{ x }}{% else %}no{% endfor %}",
    "{% for x in range(10) if x is odd %}{{ loop.index }}:{{ x }}:{{ loop.revindex }}:{{ loop.nextitem }} {% endfor %}", "{% for x in list|map('string') %}{{ x }}{{ loop.last }}{{ loop.length }}{% endfor %}",
    "{% for n in tree recursive %}{{ n.v }}[{{ loop.depth }}{{ loop(n.c) }}]{% endfor %}", "{% for n in tree recursive %}{{ n.v }}{% if n.c %}({{ loop(n.c) }}){% endif %}{% else %}leaf{% endfor %}", "{% for n in list %}{{ loop(list) }}{% endfor %}",
    "{% for a, b in [[1, 2], [3, 4]] %}{{ a }}{{ b }} {% endfor %}", "{% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}", "{% for a, b in [[1, 2, 3]] %}{% endfor %}", "{% for a, b in [[1]] %}{% endfor %}", "{% for a, b in [1] %}{% endfor %}", "{% for a, b in ['xy'] %}{{ b }}{{ a }}{% endfor %}",
    "{% for x in range(10) %}{% if x == 3 %}{% continue %}{% endif %}{% if x == 6 %}{% break %}{% endif %}{{ x }}{% endfor %}", "{% for x in list %}{% continue %}{% else %}else{% endfor %}", "{% for x in list %}{% break %}{% else %}else{% endfor %}", "{% for x in list %}{{ x }}{% break %}{% else %}else{% endfor %}", "{% for x in [1, 2] %}{% if x == 2 %}{% break %}{% endif %}{{ x }}{% else %}else{% endfor %}",
    "{% break %}", "{% for x in list %}{% macro m() %}{% break %}{% endmacro %}{% endfor %}", "{% for x in list %}{% for y in list %}{% if y == x %}{% break %}{% endif %}{{ x }}{{ y }} {% endfor %}{% endfor %}",
    "{% for x in list %}{% set y = x %}{% endfor %}{{ y is defined }}", "{% set y = 1 %}{% for x in list %}{% set y = y + x %}{{ y }} {% endfor %}{{ y }}", "{% for x in list %}{% if loop.first %}{% set q = x %}{% endif %}{{ q }}{% endfor %}", "{% for loop_ in list %}{% for z in 'ab' %}{{ loop.index }}{% endfor %}{{ loop.index }} {% endfor %}",
    "{% for x in list %}{% for y in list %}{{ loop.length }}{% endfor %}{% endfor %}{{ loop }}", "{% for x, in [(1,), (2,)] %}{{ x }}{% endfor %}", "{% for x in 1, 2, 3 %}{{ x }}{% endfor %}", "{% for x in list | sort if x != 2 %}{{ x }}{% endfor %}", "{% for x in list %}{{ loop.nope }}|{% endfor %}", "{% for i in list %}{{ i }}{% endfor %}{{ i }}",
    "{% for x in list -%}\n  {{ x }}\n{%- endfor %}", "{% for x in list %}{% set list = [] %}{{ x }}{% endfor %}{{ list }}", "{% for x in d.items()|list|reverse %}{{ x }}{% endfor %}", "{% for x in users|groupby('age') %}{{ x.grouper }}:{% for y in x.list %}{{ y.name }} {% endfor %}{% endfor %}",
    # if
    "{% if t %}a{% elif no %}b{% else %}c{% endif %}", "{% if no %}a{% elif t %}b{% else %}c{% endif %}", "{% if no %}a{% elif no %}b{% else %}c{% endif %}", "{% if missing %}a{% endif %}", "{% if missing.x %}a{% endif %}", "{% if 1, %}tuple{% endif %}", "{% if t: %}colon{% endif %}", "{% if t and not no or missing %}x{% endif %}", "{% if t %}{% set inner = 1 %}{% endif %}{{ inner }}",
    "{% if e %}{% elif o %}{% elif zero %}{% elif empty %}{% else %}all false{% endif %}",
    # set
    "{% set x = 1 %}{{ x }}", "{% set a, b = 1, 2 %}{{ a }}{{ b }}", "{% set a = 1, 2 %}{{ a }}", "{% set a, b = [1] %}", "{% set x %}a{{ i }}b{% endset %}[{{ x }}]", "{% set x | upper | trim %} abc {% endset %}[{{ x }}]", "{% set x %}{% set y = 1 %}{% endset %}{{ y is defined }}", "{% set ns = namespace(a=1, b=[]) %}{% set ns.a = 2 %}{% set ns.c = 'x' %}{{ ns.a }}{{ ns.b }}{{ ns.c }}", "{% set ns = namespace(n=0) %}{% for x in list %}{% set ns.n = ns.n + x %}{% endfor %}{{ ns.n }}",
    "{% set d.x = 1 %}", "{% set zz.x = 1 %}", "{% set ns = namespace() %}{% set ns._x = 1 %}", "{% set ns = namespace({'a': 1}, b=2) %}{{ ns.a }}{{ ns.b }}{{ ns }}", "{% set ns = namespace() %}{% set ns.a, q = 1, 2 %}{{ ns.a }}{{ q }}", "{% set ns = namespace() %}{% set ns.t %}block{% endset %}{{ ns.t }}", "{% set 5 = 1 %}", "{% set x.y.z = 1 %}", "{% set x[0] = 1 %}", "{% set list = list + [4] %}{{ list }}", "{% set true = 1 %}", "{% set s = s | upper %}{{ s }}", "{% set x = y %}{{ x is defined }}",
    # macros
    "{% macro m(a, b=2) %}{{ a }}-{{ b }}{% endmacro %}{{ m(1) }} {{ m(1, 3) }} {{ m(b=5, a=4) }} {{ m() }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(z=2) }}", "{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, x=3) }}", "{% macro m(a) %}{{ a }}|{{ varargs|join(',') }}{% endmacro %}{{ m(1, 2, 3) }}",
    "{% macro m(a, b=a) %}{{ b }}{% endmacro %}{{ m(7) }}", "{% macro m(a, b=a ~ '!') %}{{ b }}{% endmacro %}{{ m('x') }}", "{% macro m(a=1, b) %}{% endmacro %}", "{% macro m(a) %}{{ a is defined }}{% endmacro %}{{ m() }}", "{% macro m() %}{{ outer }}{% endmacro %}{% set outer = 'late' %}{{ m() }}", "{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(5) }}", "{% macro f(n) %}{{ f(n) }}{% endmacro %}{{ f(1) }}",
    "{% macro m() %}[{{ caller() }}]{% endmacro %}{% call m() %}body{{ i }}{% endcall %}", "{% macro m() %}{% for x in list %}{{ caller(x) }}{% endfor %}{% endmacro %}{% call(y) m() %}<{{ y }}>{% endcall %}", "{% macro m() %}x{% endmacro %}{% call m() %}{% endcall %}", "{% macro m() %}{{ caller is defined }}{{ caller }}{% endmacro %}{{ m() }}", "{% macro m(a) %}{{ a }}{{ caller() }}{% endmacro %}{% call m('q') %}{{ s }}{% endcall %}", "{% call 5 %}{% endcall %}", "{% macro m(caller=none) %}{{ 'c' if caller else 'n' }}{% endmacro %}{{ m() }}{% call m() %}x{% endcall %}",
    "{% macro m() %}  a  {% endmacro %}[{{ m()|trim }}]", "{% macro m(x) %}{{ x }}{% endmacro %}{{ m(*[1]) }}{{ m(**{'x': 2}) }}{{ m(*[3], **{}) }}", "{% macro m(a, b, c) %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ m(1, *[2], c=3) }}", "{% macro m() %}{% endmacro %}{{ m.name }}{{ m }}", "{% macro outer() %}{% macro inner() %}in{% endmacro %}{{ inner() }}{% endmacro %}{{ outer() }}{{ inner is defined }}", "{% macro m() %}{% set leak = 1 %}{% endmacro %}{{ m() }}{{ leak is defined }}", "{{ m() }}{% macro m() %}{% endmacro %}", "{% for x in list %}{% macro m() %}{{ x }}{% endmacro %}{{ m() }}{% endfor %}{{ m is defined }}", "{% macro m(s) %}{{ s }}{% endmacro %}{{ m(s=s|upper) }}{{ s }}",
    "{% if t %}{% macro m() %}cond{% endmacro %}{% endif %}{{ m() }}", "{% macro m(x) -%}\n  {{ x }}\n{%- endmacro %}[{{ m(1) }}]",
    # blocks of text
    "{% filter upper %}abc{{ s }}{% endfilter %}", "{% filter replace('a', 'b')|upper %}banana{% endfilter %}", "{% filter nope %}x{% endfilter %}", "{% filter trim %}  {% set leak = 2 %} x {% endfilter %}{{ leak is defined }}", "{% with a = 1, b = 2 %}{{ a }}{{ b }}{% endwith %}{{ a is defined }}", "{% with a = 1, b = a %}{{ b is defined }}{% endwith %}", "{% set a = 5 %}{% with a = a + 1 %}{{ a }}{% endwith %}{{ a }}", "{% with %}{% set q = 1 %}{{ q }}{% endwith %}{{ q is defined }}", "{% with a, b = (1, 2) %}{{ a }}{{ b }}{% endwith %}",
    "{% raw %}{{ x }}{% if %}{% endraw %}", "{%- raw -%}  {{ x }}  {%- endraw -%}  y", "{% raw %}\n  a\n{% endraw %}\nb", "a {% raw %}{% endraw %} b", "{% raw %}x", "{# comment #}a{#- b -#} c", "{# unclosed", "a {#- x #} b {# y -#} c", "{% print 1, 'a' %}", "{% autoescape false %}{{ html }}{% endautoescape %}", "{% generation %}a{{ s }}{% endgeneration %}b", "{% generation %}{% set g = 1 %}{% endgeneration %}{{ g is defined }}", "{% for m in messages %}{% generation %}{{ m.role }}{% endgeneration %},{% endfor %}", "{% block x %}b{{ i }}{% endblock %}", "{% block x %}b{% endblock x %}",
    "{% include 'x' %}", "{% import 'x' as y %}", "{% extends 'x' %}", "{% if no %}{% include 'x' %}{% endif %}ok", "{% do 1 %}", "{% nope %}", "{% if %}", "{% if t %}", "{% endif %}", "{% for %}", "{% for x in %}{% endfor %}", "{% for x list %}{% endfor %}", "{{ }}", "{{ 1", "{% if t %}{% endfor %}", "{{ 1 + }}", "{{ (1 }}", "{{ [1, }}", "{{ 1 2 }}", "{{ 'a }}", "{{ a b }}", "{{ {'a' 1} }}", "{{ f(a=1, 2) }}", "{{ dict(a=1, a=2) }}", "{{ dict(**5) }}", "{{ range(*[1, 4]) }}", "{{ $ }}", "{{ x. }}", "{{ x.5 }}", "{{ list.0 }}", "{{ nested.1.1.0 }}", "{{ s|}}", "{{ s is }}", "{{ not }}", "{{ 1 if }}", "{{ 1 not 2 }}", "{{ 0x }}", "{{ 1 is eq }}",
    # whitespace
    "a\n  {% if t %}\n  b\n  {% endif %}\nc", "a\n  {%+ if t %}\n  b\n  {%- endif +%}\nc", "  {{ s }}\n  {{- s -}}  \n x", "{% if t -%}\n\n x \n\n{%- endif %}\n\ny", "x  {# c #}\n y", "x\n  {# c #}\n y", "x\n  {# c +#}\n y", "a{% if t %}\n{% endif %}\n", "a\n", "a\n\n", "\n{% if t %}a{% endif %}\n", "\r\na\r\n{% if t %}\r\nb\r\n{% endif %}", "a\rb", "   {% set x = 1 %}   \n{{ x }}", " {% set x = 1 %}{% set y = 2 %} z", "\u00a0{% set x = 1 %}a", "{{ s }}\n\n{{ i }}", "{%- if t %} a {% endif -%} b", "{{-1}}", "{{+1}}", "{{ 1 -}} x", "{% if t +%}\nx{% endif %}", "a  \n\t {%- if t %}b{% endif %}", "{{ '}}' }}{{ {'a': {'b': 1}} }}", "{{ \"{% x %}\" }}", "{ { } } { % % }", "{{ '\\'' }}{{ \"\\\"\" }}", "{%if t%}x{%endif%}", "{%\nif\nt\n%}x{%\nendif\n%}", "{{s}}{{i}}", "{{ s\n}}", "#}%}}}", "{", "{{ '{{' }}", "{% raw %}{{ '{% endraw' }}{% endraw %}", "  {% raw %}\n x\n  {% endraw %}\n", "{%- set x -%}  a  {%- endset -%} [{{ x }}]",
    # objects with state
    "{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}{{ c.reset() }}{{ c.current }}", "{{ cycler() }}", "{% set j = joiner('; ') %}{% for x in list %}{{ j() }}{{ x }}{% endfor %}", "{% set j = joiner() %}{{ j() }}{{ j() }}", "{% set g = list|map('string') %}{{ g|join }}{{ g|join }}|", "{% set g = list|select %}{{ 3 in g }}{{ g|list }}", "{% set r = list|reverse %}{{ r|list }}{{ r|list }}", "{% set g = list|map('nope') %}ok", "{{ list|map('nope')|first }}", "{{ (list|map('string')|list)[0] }}", "{{ (list|map('string'))[0] is defined }}",
    # names and scopes
    "{{ range }}x"[:0] + "{% set range = 1 %}{{ range }}", "{{ self is defined }}"[:0] + "{{ true }}{{ True }}{{ none }}{{ None }}{{ false }}{{ False }}", "{{ loop is defined }}", "{{ caller is defined }}{{ kwargs is defined }}", "{{ not_there is defined and not_there.x }}", "{{ s.split(', ')[1][:3] | upper ~ '!' }}", "{{ messages[0]['role'] + ': ' + messages[0].content | trim }}", "{{ messages[-1].content is none }}", "{{ messages | map(attribute='role') | join(' > ') }}", "{{ (messages | selectattr('role', 'equalto', 'user') | first).content }}", "{{ messages[1:] | length }}", "{{ '<|' + s + '|>' }}", "{{ s if s is string else s | tojson }}", "{{ {'a': 1}.a }}", "{{ [1, 2][0] }}", "{{ 'abc'.upper()[0] }}", "{{ (1, 2)|length }}", "{{ -1|abs }}", "{{ -list|length }}", "{{ 1 + -1 }}", "{{ 2 * 3 ~ 'x' }}", "{{ 'a' ~ 1 + 2 }}", "{{ 1 ~ 2 * 3 }}", "{{ not 1 == 2 }}", "{{ 1 in [1] == true }}", "{{ 'a' 'b'|upper }}", "{{ s|upper == 'HELLO, WORLD' }}", "{{ s.upper|default('q') is string }}", "{{ raise_exception('x') if no else 'fine' }}", "{% if no %}{{ raise_exception('x') }}{% endif %}fine", "{{ 'x' * 100000000000 }}", "{{ [0] * 100000000000 }}", "{{ missing ~ 'x' }}", "{{ missing == missing2 }}", "{{ missing is sameas missing }}", "{{ missing + 1 }}", "{{ missing < 1 }}", "{{ -missing }}", "{{ missing|default({}).x|default('y') }}", "{{ d.a.b.c }}",
]


def split(text, separator):
    return [part.strip() for line in text.strip().split("\n") for part in line.split(separator) if part.strip()]


def expressions():
    """One a line part; '|' stands between two of them, except inside quotes."""
    for line in EXPRESSIONS.strip().split("\n"):
        part, quote = "", ""
        for k, c in enumerate(line):
            if quote:
                quote = "" if c == quote and line[k - 1] != "\\" else quote
            elif c in "'\"":
                quote = c
            if c == "|" and not quote:
                yield part.strip()
                part = ""
            else:
                part += c
        yield part.strip()


def sources():
    for e in list(expressions()) + split(FILTERS, " ; ") + split(TESTS, " ; "):
        yield "{{ %s }}" % e
    yield from STATEMENTS


def main():
    cases, seen = [], set()
    for source in sources():
        if source in seen:
            continue
        seen.add(source)
        cases.append([source, render(source, CONTEXT)])
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "template_cases.json")
    with open(path, "w") as f:
        f.write('{"context": %s,\n"cases": [\n' % json.dumps(CONTEXT))
        f.write(",\n".join(json.dumps(c) for c in cases))
        f.write("\n]}\n")
    print(len(cases), "cases,", sum(c[1] is None for c in cases), "errors")


if __name__ == "__main__":
    main()
