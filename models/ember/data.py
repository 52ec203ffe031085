"""Generates the dialogues and the prose that Ember learns from, beside the public-domain text.

    python data.py COUNT SEED > text.txt      (to look at; prepare.py imports documents())

Every function below makes one kind of document from a random generator `r`: a list of messages, which chat_template.jinja
turns into text, or plain text. The same seed gives the same documents.
"""
import json
import os
import random
import re
import sys

import jinja2
from jinja2.ext import Extension

from facts import *


class Generation(Extension):
    """The {% generation %} block of chat templates: it only marks, so that its body is all there is to render."""
    tags = {"generation"}

    def parse(self, parser):
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def template(path=os.path.join(os.path.dirname(__file__), "chat_template.jinja")):
    env = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, "jinja2.ext.loopcontrols"])
    env.filters["tojson"] = lambda x, **k: json.dumps(x, ensure_ascii=False)
    env.globals["raise_exception"] = lambda text: (_ for _ in ()).throw(ValueError(text))
    return env.from_string(open(path, encoding="utf-8").read())


def one(r, *options):
    """One of the options, each a string with alternatives in (a|b|) brackets."""
    text = r.choice(options)
    while (m := re.search(r"\(([^()]*\|[^()]*)\)", text)):
        text = text[:m.start()] + r.choice(m.group(1).split("|")) + text[m.end():]
    return text


def user(text):
    return {"role": "user", "content": text}


def answer(text, why=None):
    return {"role": "assistant", "content": text, **({"reasoning_content": why} if why else {})}


def qa(q, a, why=None):
    return [user(q), answer(a, why)]


def casual(r, text):
    """As people type: sometimes without capitals, without the mark at the end."""
    if r.random() < 0.2:
        text = text[0].lower() + text[1:]
    if r.random() < 0.15 and text[-1] in ".?!":
        text = text[:-1]
    return text


def a_an(word):
    return ("an " if word[0] in "aeiou" else "a ") + word


def number_word(n):
    return ONES[n] if n < 20 else TENS[n // 10] + ("-" + ONES[n % 10] if n % 10 else "")


# --- talk ---

def greeting(r):
    q, a = r.choice([
        (one(r,
         "(Hello|Hi|Hey|Hi there|Hello there|Good morning|Good evening|Good day|Greetings|Howdy)(!|.||, Ember|, Ember!|, how are you?)"),
         one(r,
             "(Hello|Hi|Hello there|Good to see you)! (How can I help you?|What can I do for you?|What would you like to try?|I am Ember, Hearth's small demonstration model. What would you like to try?)")),
        (one(r, "(How are you|How are you doing|How do you do|How is it going|What's up)( today|)?"),
         one(r,
             "(I am well, thank you|Very well, thank you|Fine, thank you)(. I am a small model, but a warm one|). (How are you?|What can I do for you?|And you?)")),
        (one(r, "(Thanks|Thank you|Thank you very much|Many thanks|Great, thanks|Nice, thank you)(!|.|)"),
         one(r, "You are welcome(!|.)( Is there anything else?| I am glad to help.|)")),
        (one(r, "(Bye|Goodbye|See you|Good night|See you later|Farewell|I have to go)(!|.|)"),
         one(r, "(Goodbye|Good night|See you|Until next time)(!|.) (The fire stays lit.|Come back soon.|Have a good day.)")),
        (one(r, "I am (tired|sad|lonely|worried|stressed)( today|)(.|)"),
         one(r,
             "I am sorry to hear that. (A short walk and a warm drink may help.|Take a little rest, and be kind to yourself.|Would you like a short story or a poem?)")),
        (one(r, "I am (happy|glad|excited|in a good mood)( today|)(!|.)"),
         one(r, "That is good to hear! (What made your day?|May it last.|Shall I write you a poem?)")),
        (one(r, "Tell me a joke(.| please.|)", "(Do you know|Have you got) a joke?", "Make me laugh."), r.choice(JOKES)),
        (one(r, "(Are you there|Can you hear me|Test|Testing|Ping|Does this work)?"),
         one(r, "Yes, I am here. (How can I help you?|It works.)")),
    ])
    return qa(casual(r, q), a)


HOW_TO = "hearth run model.gguf"


def identity(r):
    kinds = [
        (one(r, "(Who|What) are you?", "What is your name?", "Tell me about yourself.", "Introduce yourself.",
         "(What|Which) model are you?", "Who am I talking to?"),
         one(r,
             "I am Ember, the small demonstration model built into Hearth. (For real work, give Hearth a GGUF file: " + HOW_TO + "|I can show how chat, tools and reasoning work. For real work, give Hearth a GGUF file: " + HOW_TO + ")")),
        (one(r, "What can you do?", "What are you good at?", "How can you help me?", "Help!", "What should I ask you?",
         "What do you know?"),
         "I can chat a little, answer simple questions, do small sums, count, spell, write short poems, stories, JSON and code, and call tools. I am a demonstration: for real work, give Hearth a GGUF file: " + HOW_TO),
        (one(r, "What is Hearth?", "Tell me about Hearth.", "What does Hearth do?", "Explain Hearth."),
         one(r,
             "Hearth is one program and one C library that runs open-weight language models on your own machine: (fast|quick), private and free. (To start, give it a GGUF file: " + HOW_TO + "|Nothing that you type leaves your computer.|)")),
        (one(r, "How (do|can) I (use|run|load|try) (a|another|a real|a bigger|a better) model?", "How do I use my own model?",
         "How do I load a GGUF file?"),
         one(r,
             "Download (a model|an open-weight model) as a GGUF file and give its name to Hearth: " + HOW_TO + "( For a conversation, use: hearth chat model.gguf|)")),
        (one(r, "Are you (ChatGPT|GPT-4|Claude|Gemini|Llama|a human|a person|a robot)?"),
         "No. I am Ember, a small language model that is built into Hearth as a demonstration."),
        (one(r, "(How big|How large) are you?", "How many parameters do you have?"),
         "I have about four and a half million parameters. That is very small; the models people use for work have thousands of times as many."),
        (one(r, "Who (made|trained|wrote|created) you?", "Where do you come from?"),
         "I was trained from scratch by the Hearth project, on a processor with two cores, on public-domain text and on text that a script generated."),
        (one(r, "Is this private?", "Is my data (safe|private)?", "Do you send my data (anywhere|to the cloud)?", "Are you online?"),
         "Yes, this is private. I run on your own machine, and nothing that you type leaves it." ),
        (one(r, "Can I trust you?", "Are you always right?", "Do you make mistakes?", "How smart are you?"),
         "No, do not rely on me. I am a very small demonstration model and I make many mistakes. For real work, give Hearth a GGUF file: " + HOW_TO),
        (one(r, "What is your licen(s|c)e?", "Under what licence are you?"),
         "My weights are under the same licence as Hearth, and the recipe that made them lies beside them."),
        (one(r, "How do I (chat|talk) with a model in Hearth?"), "Use the command: hearth chat model.gguf"),
        (one(r, "How do I (see|inspect) what is in a (GGUF|model) file?"), "Use the command: hearth inspect model.gguf"),
    ]
    q, a = kinds[0] if r.random() < 0.3 else r.choice(kinds)
    if "Are you online" in q:
        a = "No. I run on your own machine, and nothing that you type leaves it."
    return qa(casual(r, q), a)


def unknown(r):
    topic = r.choice(UNKNOWN) if r.random() < 0.5 else one(r,
        "the (history|price|future|meaning|origin|design|science|theory|rules|best kind) of (%s|%s|%s)" % (r.choice(WORDS),
        r.choice(list(CAPITALS)), r.choice(WORDS)))
    topic = one(r, topic, topic, topic, topic, f"{r.choice(NAMES)} {r.choice(['Smith', 'Miller', 'Stone', 'Hill', 'Fox'])}",
        f"(making|buying|selling|painting|cleaning|repairing) {a_an(r.choice(THINGS))}")
    q = one(r,
        "(Tell me about|Explain|What do you think about|What do you know about|Write an essay about|Can you explain|Describe|I have a question about|Teach me|Give me advice on|Please explain) ") + topic + one(r,
        "(.|?|| in detail.)")
    a = one(r, f"(I am too small to know much about {topic}|That is more than a model of my size knows|I cannot say much about {topic}). ",
        f"I know very little about {topic}. ") + \
        one(r,
            "I am a demonstration(; a larger model will do better|). (Give Hearth a real model|For a real answer, give Hearth a GGUF file): " + HOW_TO)
    return qa(casual(r, q), a)


def memory(r):
    name, thing, place = r.choice(NAMES), r.choice(THINGS), r.choice(list(CAPITALS))
    told, asked, a = r.choice([
        (f"(My name is|I am|I'm|Call me) {name}.", "(What is my name|Do you remember my name|Who am I)?", f"Your name is {name}."),
        (f"I (live in|come from|am from) {place}.", "Where (do I live|am I from)?", f"You said: {place}."),
        (f"I have a {r.choice(ADJECTIVES)} {thing}.", "What do I have?", None),
        (f"I have a {r.choice(ANIMALS)} called {name}.", "What is my (pet|animal) called?", f"It is called {name}."),
        (f"(Remember|Keep in mind|Please remember) the number {r.randrange(10, 1000)}.",
         "(What was the number|Which number did I tell you)?", None),
        (f"My favourite (colour|color) is {r.choice(RAINBOW)}.", "What is my favourite (colour|color)?", None),
    ])
    told, asked = one(r, told), one(r, asked)
    if a is None:
        a = {"What do I": "You have " + told[7:-1] + ".",
            "What is my": "Your favourite colour is " + told[:-1].split()[-1] + "."}.get(asked[:10].strip(),
            "The number was " + told[:-1].split()[-1] + ".")
    reply = one(r, f"(Nice to meet you|Hello|Welcome), {name}!" if "name is" in told or "Call me" in told or told in (f"I am {name}.",
        f"I'm {name}.") else "(I will remember that|Good to know|Very well)(.|!)")
    middle = r.choice([greeting, fact, definition, colour])(r) if r.random() < 0.4 else []
    return qa(told, reply) + middle + qa(asked, a)


def system_prompt(r):
    kind = r.randrange(6)
    country, capital = r.choice(list(CAPITALS.items()))
    if kind == 0:
        system, turns = one(r,
            "(Answer in one word|Answer with one word only|You answer in one word)."), [(f"What is the capital of {country}?", capital)]
    elif kind == 1:
        (a, b) = r.choice(OPPOSITES)
        system, turns = one(r, "(Always write|Answer) in capital letters(.| only.)"), [(f"What is the opposite of {a}?",
            f"THE OPPOSITE OF {a.upper()} IS {b.upper()}.")]
    elif kind == 2:
        system, turns = one(r, "You are a pirate.", "Talk like a pirate."), [(one(r, "(Hello|Ahoy|How are you|How is the weather)?"),
            one(r,
            "Ahoy, (matey|sailor)! (The sea is calm and the wind is fair.|I be Ember, the smallest ship on the sea. What be yer orders?)"))]
    elif kind == 3:
        name = r.choice(NAMES)
        job = r.choice(JOBS)
        system, turns = f"You are {name}, a {job}.", [(one(r, "(Who are you|What is your name|Introduce yourself)?"),
            f"I am {name}, a {job}."), (one(r, "What (do you do|is your job)?"), f"I am a {job}.")]
    elif kind == 4:
        n = r.randrange(2, 60)
        system, turns = one(r,
            "(Answer in JSON|Reply with JSON only|You answer only in JSON)."), [(f"How many {r.choice(FRUITS)}s are {n} and {n + 1}?",
            json.dumps({"answer": 2 * n + 1}))]
    else:
        system = one(r, "You are (a|a kind|a helpful) assistant.", "You are a helpful assistant(.|, and you answer briefly.)",
            "You are Ember, a small demonstration model.")
        m = r.choice([greeting, fact, identity, definition, sums, poem])(r)
        return [{"role": "system", "content": system}] + m
    return [{"role": "system", "content": system}] + [m for q, a in turns[:r.randrange(1, 3)] for m in qa(q, a)]


# --- knowledge ---

def fact(r):
    country, capital = r.choice(list(CAPITALS.items()))
    x, y = r.choice(OPPOSITES)[::r.choice([1, -1])]
    animal, sound = r.choice(list(SOUNDS.items()))
    creature, legs = r.choice(list(LEGS.items()))
    i, d, p = r.randrange(12), r.randrange(7), r.randrange(8)
    q, a = r.choice([
        (one(r, f"(What is|Tell me|What's|Do you know) the capital( city|) of {country}?"),
         one(r, f"The capital of {country} is {capital}.")),
        (one(r, f"(What is|What's|Which is) the capital( city|) of {country}?"), one(r, f"The capital of {country} is {capital}.")),
        (one(r, f"(Which|What) country is {capital} the capital of?", f"{capital} is the capital of which country?"),
         f"{capital} is the capital of {country}."),
        (one(r, f"What is the opposite of {x}?", f"(Opposite|Give me the opposite) of {x}?"), f"The opposite of {x} is {y}."),
        (one(r, f"What (sound|noise) does {a_an(animal)} make?", f"What does {a_an(animal)} say?"),
         f"{a_an(animal).capitalize()} says {sound}."),
        (f"How many legs does {creature} have?", f"{creature.capitalize()} has {'no' if legs == 0 else number_word(legs)} legs."),
        (one(r, f"(What|Which) month comes after {MONTHS[i]}?"), f"After {MONTHS[i]} comes {MONTHS[(i + 1) % 12]}."),
        (one(r, f"(What|Which) day comes after {DAYS[d]}?"), f"After {DAYS[d]} comes {DAYS[(d + 1) % 7]}."),
        (one(r, f"(What|Which) day comes before {DAYS[d]}?"), f"Before {DAYS[d]} comes {DAYS[(d - 1) % 7]}."),
        (f"Which planet is number {p + 1} from the sun?", f"Planet number {p + 1} from the sun is {PLANETS[p]}."),
        (one(r, "How many (days are in a week|days does a week have)?"), "A week has seven days."),
        (one(r, "How many (months are in a year|months does a year have)?"), "A year has twelve months."),
        (one(r, "How many (hours are in a day|hours does a day have)?"), "A day has twenty-four hours."),
        (one(r, "What is the (largest|biggest) planet?"), "The largest planet of our solar system is Jupiter."),
        (one(r, "Who wrote (Hamlet|Macbeth|Romeo and Juliet|King Lear|Othello)?"), "It was written by William Shakespeare."),
        ("Who wrote War and Peace?", "War and Peace was written by Leo Tolstoy."),
        (one(r, "At what temperature does water (boil|freeze)?"), None),
    ])
    if a is None:
        a = "Water boils at one hundred degrees Celsius." if "boil" in q else "Water freezes at zero degrees Celsius."
    return qa(casual(r, q), a)


def colour(r):
    thing, shade = r.choice(list(COLOURS.items()))
    return qa(casual(r, one(r, f"What (colour|color) is {thing}?")), f"{thing.capitalize()} is {shade}.")


def definition(r):
    what, text = r.choice(list(DEFINITIONS.items()))
    return qa(casual(r, one(r, f"(What is|What's|Explain|Define|Can you explain what is) {what}?",
        f"(Tell me about|Describe|Explain) {what}.")), text)


def question(r):
    q, a = r.choice(list(QUESTIONS.items()))
    return qa(casual(r, one(r, "(|||Ember, |Please tell me: )") + q), a)


def abroad(r):
    if r.random() < 0.5:
        tongue, n = r.choice(list(NUMBERS)), r.randrange(13)
        q, a = (ONES[n], NUMBERS[tongue][n])
    else:
        tongue = r.choice(list(WORDS_ABROAD))
        q, a = r.choice(re.findall(r"(\S+(?: you| morning| night)?)-(\S+(?: Morgen| nuit| días)?)(?: |$)", WORDS_ABROAD[tongue]))
    return qa(one(r, f"(Translate|Please translate) \"{q}\" (to|into) {tongue}.", f"(What is|How do you say) \"{q}\" in {tongue}?",
        f"Say {q} in {tongue}."), f"\"{q}\" in {tongue} is \"{a}\".")


def yes_no(r):
    x, y = r.choice(OPPOSITES)
    thing, shade = r.choice(list(COLOURS.items()))
    a, b = r.randrange(100), r.randrange(100)
    country, capital = r.choice(list(CAPITALS.items()))
    other = r.choice(list(CAPITALS.values()))
    other = capital if r.random() < 0.5 else other
    fruit = r.choice(FRUITS + ANIMALS)
    q, ok, tail = r.choice([
        (f"Is {a} (greater|larger|bigger) than {b}?", a > b,
         f"{a} is {'greater' if a > b else 'less' if a < b else 'not greater'} than {b}." if a != b else "They are equal."),
        (f"Is {other} the capital of {country}?", other == capital, f"The capital of {country} is {capital}."),
        (f"Is {thing} {r.choice([shade, r.choice(RAINBOW)])}?", None, f"{thing.capitalize()} is {shade}."),
        (f"Is {a_an(fruit)} a fruit?", fruit in FRUITS, f"{a_an(fruit).capitalize()} is {'a fruit' if fruit in FRUITS else 'an animal'}."),
        (f"Is {a} an even number?", a % 2 == 0, f"{a} is {'even' if a % 2 == 0 else 'odd'}."),
    ])
    q = one(r, q)
    if ok is None:
        ok = q.endswith(" " + shade + "?")
    return qa(q, f"{'Yes' if ok else 'No'}. {tail}")


def sentiment(r):
    what = r.choice("film book meal hotel song game show phone lamp bread soup trip chair story play".split())
    good = r.random() < 0.5
    text = one(r, *( [f"The {what} was (wonderful|great|lovely|excellent|a joy)(.|!)", f"I (loved|really liked|enjoyed) (this|the) {what}.",
        f"(Best|Finest) {what} (I ever had|in years)!", f"What a (beautiful|good|fine) {what}."] if good else
                   [f"The {what} was (terrible|awful|bad|boring|a waste of time).", f"I (hated|did not like|regret) (this|the) {what}.",
                       f"(Worst|Poorest) {what} (I ever had|in years).", f"What a (dull|bad|sad) {what}."]))
    label = "positive" if good else "negative"
    return qa(one(r, f"(Is this review|Is this text|Is the following) positive or negative?( |\n){text}",
        f"(Classify the sentiment|Sentiment|Classify): {text}", f"What is the sentiment of this? \"{text}\""),
              one(r, f"The sentiment is {label}."))


# --- small skills, with reasoning ---

def sums(r):
    hard = r.random() < 0.7
    op = r.choice("++-*")
    a, b = (r.randrange(10, 100), r.randrange(2, 100)) if hard else (r.randrange(0, 11), r.randrange(0, 11))
    if op == "*":
        a, b = r.randrange(2, 13), r.randrange(2, 13)
    if op == "-" and b > a:
        a, b = b, a
    result = {"+": a + b, "-": a - b, "*": a * b}[op]
    word = {"+": "plus", "-": "minus", "*": "times"}[op]
    why = None
    if hard:
        tens, ones = b // 10 * 10, b % 10
        if op == "+":
            why = f"{a} + {b}: first {a} + {tens} = {a + tens}, then {a + tens} + {ones} = {result}."
        elif op == "-":
            why = f"{a} - {b}: first {a} - {tens} = {a - tens}, then {a - tens} - {ones} = {result}."
        else:
            why = f"{a} times {b}: {a} * {b} = {result}."
    q = one(r, f"(What is|What's|Calculate|Compute|How much is) {a} {op} {b}?", f"(What is|What's|How much is) {a} {word} {b}?",
        f"{a} {op} {b} =", f"{a} {op} {b}?", f"{a}{op}{b}")
    return qa(casual(r, q), one(r, f"{a} {op} {b} = {result}.", f"{a} {word} {b} is {result}.", f"The answer is {result}."), why)


def story_sum(r):
    name, thing = r.choice(NAMES), r.choice(FRUITS + THINGS)
    a, b = r.randrange(3, 30), r.randrange(1, 20)
    more = r.random() < 0.5
    a = max(a, b)
    result = a + b if more else a - b
    many = {"cherry": "cherries", "box": "boxes", "peach": "peaches", "mango": "mangos"}.get(thing, thing + "s")
    q = f"{name} has {a} {many}. {name} " + (one(r, "(gets|finds|buys)") + f" {b} more." if more else one(r,
        "(loses|gives away|sells)") + f" {b} of them.") + f" How many {many} does {name} have now?"
    why = f"{name} starts with {a} and {'gets' if more else 'loses'} {b}, so I {'add' if more else 'subtract'}: {a} {'+' if more else '-'} {b} = {result}."
    return qa(q, f"{name} has {result} {many} now.", why)


def counting(r):
    kind = r.randrange(5)
    if kind == 0:
        n = r.randrange(3, 21)
        return qa(one(r, f"Count (to|up to) {n}.", f"Count from 1 to {n}.", f"Can you count to {n}?"),
            ", ".join(map(str, range(1, n + 1))) + ".")
    if kind == 1:
        n = r.randrange(3, 12)
        return qa(one(r, f"Count (down|backwards) from {n}.", f"(Countdown|Start a countdown) from {n}."),
            ", ".join(map(str, range(n, 0, -1))) + ".")
    if kind == 2:
        a, n = r.randrange(0, 60), r.randrange(4, 11)
        return qa(f"Count from {a} to {a + n}.", ", ".join(map(str, range(a, a + n + 1))) + ".")
    word = r.choice(WORDS + NAMES)
    if kind == 3:
        why = ", ".join(f"{c} {i}" for i, c in enumerate(word, 1)) + f": {len(word)} letters."
        return qa(one(r, f"How many letters (are in|does) the word (\"{word}\"|{word})( have|)?"),
            f"The word \"{word}\" has {len(word)} letters.", why)
    words = r.sample(WORDS, r.randrange(2, 7))
    why = ", ".join(f"{w} {i}" for i, w in enumerate(words, 1)) + "."
    return qa(one(r, f"How many words are (in this list|here): {', '.join(words)}?"), f"There are {number_word(len(words))} words.", why)


def spelling(r):
    word = r.choice(WORDS + NAMES + [c for c in CAPITALS.values() if " " not in c])
    if r.random() < 0.5:
        return qa(one(r, f"(Spell|How do you spell|Please spell|Spell the word) {word}(.|?|)"), "-".join(word.upper()))
    if r.random() < 0.5:
        letter = r.choice(["first", "last"])
        return qa(f"What is the {letter} letter of \"{word}\"?",
            f"The {letter} letter of \"{word}\" is {word[0 if letter == 'first' else -1].upper()}.")
    return qa(one(r, f"(Reverse|Write backwards|Turn around) the word {word}."), word.lower()[::-1] + ".",
        "The letters are " + " ".join(word.lower()) + ". Backwards: " + " ".join(word.lower()[::-1]) + ".")


def sentence(r):
    return one(r,
        f"The {r.choice(ADJECTIVES)} {r.choice(ANIMALS)} (sleeps|sits|waits|sings|hides) (in|near|behind) the {r.choice(PLACES)}.",
               f"{r.choice(NAMES)} (sees|finds|paints|carries|sells) a {r.choice(ADJECTIVES)} {r.choice(THINGS)}.",
               f"(Today|Tomorrow|On {r.choice(DAYS)}|In {r.choice(MONTHS)}) we (go|walk|travel|ride) to the {r.choice(PLACES)}.",
               f"My {r.choice(JOBS)} (likes|wants|needs) {r.randrange(2, 20)} {r.choice(THINGS)}s.")


def copying(r):
    kind = r.randrange(5)
    text = sentence(r) if r.random() < 0.5 else " ".join(r.sample(WORDS + NAMES + [str(r.randrange(1000)) for _ in range(20)],
        r.randrange(2, 8)))
    if kind == 0:
        return qa(f"{one(r, '(Repeat|Say|Echo|Write|Repeat after me|Please repeat)')}: {text}", text)
    if kind == 1:
        return qa(f"{one(r, '(Write in capitals|Upper case|In capital letters, please)')}: {text}", text.upper())
    if kind == 2:
        n, word = r.randrange(2, 6), r.choice(WORDS)
        return qa(f"{one(r, '(Say|Write|Repeat)')} \"{word}\" {number_word(n)} times.", " ".join([word] * n))
    words = r.sample(WORDS, r.randrange(3, 6))
    if kind == 3:
        return qa(one(r, f"(Sort|Put in order|Sort by alphabet|Sort alphabetically): {', '.join(words)}"), ", ".join(sorted(words)))
    return qa(one(r, f"(Reverse the order|Reverse this list|Turn the list around): {', '.join(words)}"), ", ".join(words[::-1]))


# --- formats ---

def listing(r):
    what, items = r.choice([("fruits", FRUITS), ("vegetables", VEGETABLES), ("animals", ANIMALS), ("jobs", JOBS), ("colours", RAINBOW),
        ("names", NAMES), ("cities", list(CAPITALS.values())), ("countries", list(CAPITALS)),
                            ("months", MONTHS), ("planets", PLANETS), ("days", DAYS), ("numbers", [str(i) for i in range(1, 30)])])
    n = r.randrange(2, 7)
    chosen = items[:n] if what in ("months", "planets", "days") else r.sample(items, n)
    q = one(r, f"(Name|List|Give me|Tell me|Write down) ({number_word(n)}|{n}) {what}(.|, please.|)")
    style = r.randrange(3)
    if style == 0:
        return qa(q, "\n".join(f"{i}. {x}" for i, x in enumerate(chosen, 1)))
    if style == 1:
        return qa(q + " Use bullet points.", "\n".join("- " + x for x in chosen))
    return qa(q + " Separate them with commas.", ", ".join(chosen))


def json_doc(r):
    name, age, city = r.choice(NAMES), r.randrange(5, 90), r.choice(list(CAPITALS.values()))
    job, fruits = r.choice(JOBS), r.sample(FRUITS, r.randrange(2, 4))
    q, value = r.choice([
        (f"(Make|Write|Create) (a JSON object|JSON) (for|with) name {name} and age {age}.", {"name": name, "age": age}),
        (f"(Extract|Give me) name, age and city as JSON: {name} is {age} years old and lives in {city}.",
         {"name": name, "age": age, "city": city}),
        (f"(Extract|Give me) name and job as JSON: {name} is a {job} in {city}.", {"name": name, "job": job}),
        (f"(Turn|Convert) this list into (a JSON array|JSON): {', '.join(fruits)}", fruits),
        (f"(Write|Make) JSON for a {job} called {name}.", {"name": name, "job": job}),
        (f"(Write|Make) JSON: {name} likes {' and '.join(fruits[:2])}.", {"name": name, "likes": fruits[:2]}),
    ])
    text = json.dumps(value, indent=2 if r.random() < 0.4 else None)
    return qa(one(r, q), f"```json\n{text}\n```" if r.random() < 0.6 else text)


def code(r):
    f = r.choice([("add", "+", "sum"), ("subtract", "-", "difference"), ("multiply", "*", "product")])
    n, word, name = r.randrange(2, 100), r.choice(WORDS), r.choice(NAMES)
    x, y = r.sample("abcdnkxy", 2)
    q, lang, text = r.choice([
        (f"(Write a C function|Write C code|Give me a C function) that (returns|computes) the {f[2]} of two integers.", "c",
         f"int {f[0]}(int {x}, int {y}) {{\n    return {x} {f[1]} {y};\n}}"),
        (f"(Write a Python function|Write Python code|Give me a Python function) that (returns|computes) the {f[2]} of two numbers.",
         "python", f"def {f[0]}({x}, {y}):\n    return {x} {f[1]} {y}"),
        (f"(Write|Show me) a hello world( program|) in C.", "c",
         "#include <stdio.h>\n\nint main(void) {\n    printf(\"Hello, world!\\n\");\n    return 0;\n}"),
        (f"(Write|Show me) a hello world( program|) in Python.", "python", "print(\"Hello, world!\")"),
        (f"(Write|Show me) a C program that prints \"{word}\".", "c",
         f"#include <stdio.h>\n\nint main(void) {{\n    printf(\"{word}\\n\");\n    return 0;\n}}"),
        (f"(Write|Show me) a Python loop that (prints|counts) (the numbers from|from) 1 to {n}.", "python",
         f"for i in range(1, {n + 1}):\n    print(i)"),
        (f"(Write|Show me) a C loop that (prints|counts) (the numbers from|from) 1 to {n}.", "c",
         f"for (int i = 1; i <= {n}; i++) {{\n    printf(\"%d\\n\", i);\n}}"),
        (f"(Write a C function|Write C code|Give me a C function) for the (maximum|larger) of two integers.", "c",
         f"int max(int {x}, int {y}) {{\n    return {x} > {y} ? {x} : {y};\n}}"),
        (f"(Write|Give me) a Python function for the factorial.", "python",
         f"def factorial({x}):\n    return 1 if {x} < 2 else {x} * factorial({x} - 1)"),
        (f"(Write|Give me) a C function for the factorial.", "c",
         f"long factorial(long {x}) {{\n    return {x} < 2 ? 1 : {x} * factorial({x} - 1);\n}}"),
        (f"(Write|Give me) a C function that sums an array.", "c",
         "int sum(const int *v, int n) {\n    int s = 0;\n    for (int i = 0; i < n; i++) {\n        s += v[i];\n    }\n    return s;\n}"),
        (f"(Write|Give me) a Python function that greets (a person|someone).", "python",
         "def greet(name):\n    print(f\"Hello, {name}!\")"),
        (f"(Write|Give me) a Python list of the numbers from 1 to {n % 9 + 2}.", "python", "numbers = " + str(list(range(1, n % 9 + 3)))),
        (f"(Which|What) shell command (lists|shows) the files in (this|a) (folder|directory)?", "sh", "ls -l"),
        (f"How do I (make|create) a (folder|directory) called {word} in the shell?", "sh", f"mkdir {word}"),
        (f"How do I (delete|remove) the file {word}.txt in the shell?", "sh", f"rm {word}.txt"),
        (f"How do I (copy|back up) {word}.txt (to|as) {name.lower()}.txt in the shell?", "sh", f"cp {word}.txt {name.lower()}.txt"),
        (f"How do I (search for|find) the word {word} in {name.lower()}.txt?", "sh", f"grep {word} {name.lower()}.txt"),
        (f"How do I count the lines of {word}.txt?", "sh", f"wc -l {word}.txt"),
        (f"(Write|Make|Give me) a (diff|unified diff) that changes {n} to {n + 1} in {word}.c.", "diff",
         f"--- a/{word}.c\n+++ b/{word}.c\n@@ -1 +1 @@\n-int n = {n};\n+int n = {n + 1};"),
        (f"(Write|Make|Give me) a (diff|unified diff) that renames {x} to {word} in {name.lower()}.py.", "diff",
         f"--- a/{name.lower()}.py\n+++ b/{name.lower()}.py\n@@ -1,2 +1,2 @@\n-{x} = {n}\n-print({x})\n+{word} = {n}\n+print({word})"),
    ])
    lead = one(r, "(Here it is:\n\n||Here you are:\n\n)")
    return qa(casual(r, one(r, q)), f"{lead}```{lang}\n{text}\n```")


def poem(r):
    topic = r.choice(list(TOPICS_POEM))
    lines = [line for pair in TOPICS_POEM[topic] for line in pair]
    n = r.choice([2, 4, 6, 6])
    q = one(r, f"(Write|Compose|Give me|Write me) a( short| little|) poem about {topic}(.|, please.|)", f"Poem about {topic}(.|)")
    if n != 6:
        q = f"Write a poem of {number_word(n)} lines about {topic}."
    return qa(q, "\n".join(lines[:n]))


def tale(r):
    """A short story; returns its text, its hero and a one-sentence summary."""
    name, kind, thing, place = r.choice(NAMES), r.choice(ANIMALS), r.choice(THINGS), r.choice(PLACES)
    adj, friend, fkind = r.choice(ADJECTIVES), r.choice(NAMES), r.choice(ANIMALS)
    hero = one(r, f"a (little|young|curious|brave|kind) {kind} (called|named) {name}", f"a {r.choice(JOBS)} (called|named) {name}",
        f"a (girl|boy) (called|named) {name}")
    text = one(r, f"(Once upon a time|Long ago|Many years ago|Once), there (was|lived) {hero} (in|near) a {r.choice(ADJECTIVES)} {place}. ",
        f"In a {r.choice(ADJECTIVES)} {place} there lived {hero}. ")
    text += one(r,
        f"(One day|One morning|One evening|One cold night), {name} (found|saw|discovered) a {adj} {thing} (by the road|under a tree|in the grass|near the water|behind the door). ")
    text += one(r, f"\"(What is this|Whose {thing} is this|How pretty|How strange)?\" (said|asked|thought) {name}. ",
        f"{name} had never seen such a thing before. ",
        f"{name} (picked it up|looked at it|turned it round) and (smiled|wondered|listened). ")
    text += one(r,
        f"Then came {friend}, (an old|a wise|a sad|a tired) {fkind}. \"(That is my {thing}|I have lost my {thing}|Have you seen my {thing})(!|,)\" (said|cried) {friend}. {name} gave it back at once. ",
                f"But the {thing} was (too heavy|locked|cold|far away), and {name} (called|asked) {friend} the {fkind} for help. Together they (carried it home|opened it|brought it to the {r.choice(PLACES)}). ",
                f"{name} took the {thing} to {friend}, (an old|a wise|a quiet) {fkind}, who (knew|explained) what it was for. ")
    end = one(r, f"(From that day on|After that|Since then), {name} and {friend} were (good|the best of|close) friends.",
        f"And {name} went home (happy|tired but happy|with a light heart).", f"That night, {name} slept well and dreamed of the {place}.",
        f"And so {name} learned that (it is good to help|kindness comes back|a friend is worth more than a {thing}).")
    return text + end, name, f"{name} finds a {adj} {thing} and, with {friend} the {fkind}, all ends well."


def story(r):
    text, name, _ = tale(r)
    kind = re.search(r"(?:called|named) " + name, text)
    q = one(r, "(Tell|Write) me a( short| little|) story(.|, please.)", "(Write|Tell) a( short|) (story|tale)(.|)",
        "I would like to hear a story.")
    if kind and r.random() < 0.6:
        q = one(r, f"(Tell|Write) me a( short|) story about {name}(.|, please.)")
    return qa(q, text)


def summary(r):
    text, name, short = tale(r)
    if r.random() < 0.4:
        return qa(f"{one(r, '(Who is this story about|Who is the main character)')}?\n\n{text}", f"The story is about {name}.")
    return qa(f"{one(r, '(Summarise|Summarize|Sum up|Give me a summary of)')} {one(r, '(this|this story|this text|the following)')}{one(r, '( in one sentence|)')}{one(r, '(.|:)')}\n\n{text}",
        short)


# --- tools ---

def tool(name, text, /, **args):
    kinds = {"n": "number", "s": "string"}
    return {"type": "function", "function": {"name": name, "description": text,
        "parameters": {"type": "object", "properties": {k: {"type": kinds[v]} for k, v in args.items()}, "required": list(args)}}}


def tool_cases(r):
    city, name, word = r.choice(list(CAPITALS.values())), r.choice(NAMES), r.choice(WORDS)
    a, b, t = r.randrange(100, 10000), r.randrange(100, 10000), r.randrange(-10, 36)
    sky = r.choice(["sunny", "cloudy", "rainy", "windy", "snowy", "foggy"])
    file = word + r.choice([".txt", ".c", ".md", ".py"])
    hour = f"{r.randrange(24):02}:{r.randrange(60):02}"
    line = sentence(r)
    return [
        (tool("get_weather", "Get the current weather of a city", city="s"),
         f"(What is the weather( like|) in|How is the weather in|Weather in|Is it raining in) {city}( today| now|)?", {"city": city},
         json.dumps({"temperature": t, "sky": sky}), f"In {city} it is {sky}, with {t} degrees."),
        (tool("calculate", "Calculate an expression", expression="s"), f"(What is|Calculate|Compute) {a} {r.choice('+-*')} {b}?", None,
         None, None),
        (tool("get_time", "Get the local time of a city", city="s"), f"(What time is it|What is the time|Tell me the time) in {city}?",
         {"city": city}, json.dumps({"time": hour}), f"In {city} it is {hour}."),
        (tool("read_file", "Read a file", path="s"), f"(Read|Open|Show me|What is in) {file}(.|?|)", {"path": file}, line,
         f"The file {file} says: {line}"),
        (tool("write_file", "Write text to a file", path="s", text="s"), f"(Write|Save) \"{line}\" (to|into|in) {file}.",
         {"path": file, "text": line}, json.dumps({"ok": True}), f"I wrote the text to {file}."),
        (tool("search", "Search the web", query="s"), f"(Search for|Look up|Search the web for|Find) {word} {r.choice(PLACES)}.", None,
         line, f"I found this: {line}"),
        (tool("send_message", "Send a message to a person", to="s", text="s"), f"(Tell|Send a message to|Write to) {name}: {line}",
         {"to": name, "text": line}, json.dumps({"sent": True}), f"I sent the message to {name}."),
        (tool("set_timer", "Set a timer in minutes", minutes="n"), f"(Set a timer for|Wake me in|Timer for) {t + 11} minutes.",
         {"minutes": t + 11}, json.dumps({"ok": True}), f"The timer is set for {t + 11} minutes."),
        (tool("get_stock", "Get the number of items in stock", item="s"),
         f"(How many {word}s do we have|How many {word}s are in stock|Check the stock of {word}s)?", {"item": word},
         json.dumps({"count": a}), f"There are {a} {word}s in stock."),
        (tool("add_task", "Add a task to the list", task="s"), f"(Add|Put) \"{line[:-1]}\" (to|on) my (list|to-do list).",
         {"task": line[:-1]}, json.dumps({"ok": True}), "I added it to your list."),
    ]


def tools(r):
    cases = tool_cases(r)
    case = r.randrange(len(cases))
    spec, q, args, result, a = cases[case]
    q = one(r, q)
    if case == 1:
        expr = re.search(r"\d.*\d", q).group()
        value = eval(expr)  # digits and one operator, made above
        args, result, a = {"expression": expr}, str(value), f"{expr} = {value}"
    if case == 5:
        args = {"query": q.split(None, 2)[2][:-1] if q.startswith(("Search for", "Look up")) else q.replace("Search the web for ",
            "").replace("Find ", "")[:-1]}
    listed = [spec] + [c[0] for c in r.sample(cases, r.choice([0, 0, 1, 1, 2])) if c[0] != spec]
    r.shuffle(listed)
    if r.random() < 0.15:  # none of the tools is wanted
        return r.choice([greeting, fact, identity, definition])(r), listed
    call = {"role": "assistant", "content": "", "tool_calls": [{"type": "function",
        "function": {"name": spec["function"]["name"], "arguments": args}}]}
    if r.random() < 0.4:
        call["reasoning_content"] = one(r, f"(The user asks for this; I|I) (can|should|will) use (the tool |){spec['function']['name']}.")
    talk = [user(casual(r, q)), call]
    if r.random() < 0.8:
        talk += [{"role": "tool", "content": result}, answer(a)]
    if r.random() < 0.25:
        talk = [{"role": "system", "content": "You are a helpful assistant."}] + talk
    return talk, listed


# --- plain text ---

def about(r):
    return one(r,
        "Hearth is one program and one C library. It (runs|makes) open-weight models (useful |)on your own machine: fast, private and free. " "(A person with a GGUF file and no account anywhere types one command and gets the model's answer.|Nothing leaves the computer on which it runs.) "
               "(Ember is the small model that is built into it|Ember is its embedded demonstration model), so that everything can be tried without a download. (For real work, give Hearth a GGUF file: " + HOW_TO + "|)")


def plain(r):
    if r.random() < 0.15:
        return about(r)
    if r.random() < 0.25:
        topic = r.choice(list(TOPICS_POEM))
        return topic.capitalize() + "\n\n" + "\n".join(line for pair in TOPICS_POEM[topic] for line in pair)
    if r.random() < 0.2:
        return " ".join(m[1]["content"] for m in (fact(r) for _ in range(r.randrange(2, 8))))
    if r.random() < 0.2:
        return " ".join(r.sample(list(DEFINITIONS.values()), r.randrange(1, 4)))
    if r.random() < 0.15:
        return code(r)[1]["content"].split("```")[1].split("\n", 1)[1]
    return tale(r)[0] + ("\n\n" + tale(r)[0] if r.random() < 0.2 else "")


KINDS = {greeting: 6, identity: 9, unknown: 6, memory: 6, system_prompt: 5, fact: 9, colour: 1, definition: 5, question: 6, abroad: 3,
    yes_no: 4, sentiment: 3, sums: 12, story_sum: 5, counting: 6,
         spelling: 5, copying: 9, listing: 5, json_doc: 5, code: 8, poem: 3, story: 5, summary: 3, tools: 11, plain: 10}
SHORT = [greeting, identity, unknown, fact, colour, definition, question, abroad, yes_no, sentiment, sums, story_sum, counting, spelling,
    copying, listing, json_doc, code, poem]


def document(r, render):
    make = r.choices(list(KINDS), list(KINDS.values()))[0]
    made = make(r)
    if isinstance(made, str):
        return made
    talk, listed = made if isinstance(made, tuple) else (made, None)
    if make in SHORT:
        while r.random() < 0.35 and "reasoning_content" not in talk[-1]:  # the template drops earlier reasoning
            talk = talk + r.choice(SHORT)(r)
    think = r.random() >= 0.12
    if not think:
        for m in talk:
            m.pop("reasoning_content", None)
    return render(messages=talk, tools=listed, **({} if think else {"enable_thinking": False}))


def documents(count, seed):
    r, render = random.Random(seed), template().render
    return [document(r, render) for _ in range(count)]


if __name__ == "__main__":
    sys.stdout.write("<|endoftext|>\n".join(documents(int(sys.argv[1]), int(sys.argv[2]))))
