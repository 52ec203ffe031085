"""The tables from which data.py makes dialogues: plain facts and word lists, no prose of anyone else."""

CAPITALS = dict(line.split(":") for line in """France:Paris|Germany:Berlin|Italy:Rome|Spain:Madrid|Portugal:Lisbon|England:London|Scotland:Edinburgh
Ireland:Dublin|Norway:Oslo|Sweden:Stockholm|Denmark:Copenhagen|Finland:Helsinki|Poland:Warsaw|Austria:Vienna|Switzerland:Bern|Greece:Athens
Turkey:Ankara|Russia:Moscow|Ukraine:Kyiv|Hungary:Budapest|Romania:Bucharest|Bulgaria:Sofia|Serbia:Belgrade|Croatia:Zagreb|Egypt:Cairo|Kenya:Nairobi
Morocco:Rabat|Ghana:Accra|Nigeria:Abuja|Ethiopia:Addis Ababa|China:Beijing|Japan:Tokyo|India:New Delhi|Thailand:Bangkok|Vietnam:Hanoi|Indonesia:Jakarta
Iran:Tehran|Iraq:Baghdad|Canada:Ottawa|Mexico:Mexico City|Cuba:Havana|Brazil:Brasilia|Argentina:Buenos Aires|Chile:Santiago|Peru:Lima|Colombia:Bogota
Australia:Canberra|New Zealand:Wellington|Iceland:Reykjavik|Belgium:Brussels|the Netherlands:Amsterdam|the United States:Washington""".replace("\n", "|").split("|"))

OPPOSITES = [pair.split("-") for pair in """hot-cold big-small fast-slow old-young light-dark up-down left-right open-closed full-empty hard-soft high-low long-short
rich-poor wet-dry early-late strong-weak happy-sad loud-quiet near-far thick-thin wide-narrow true-false good-bad clean-dirty sweet-sour day-night
begin-end love-hate win-lose buy-sell push-pull give-take remember-forget""".split()]

SOUNDS = dict(pair.split("-") for pair in """dog-woof cat-meow cow-moo sheep-baa duck-quack pig-oink horse-neigh lion-roar frog-croak bee-buzz
owl-hoot snake-hiss wolf-howl rooster-cock-a-doodle-doo mouse-squeak""".replace("cock-a-doodle-doo", "cockadoodledoo").split())

COLOURS = {"the sky": "blue", "grass": "green", "snow": "white", "coal": "black", "blood": "red", "a lemon": "yellow", "a carrot": "orange",
    "milk": "white", "a cherry": "red",
           "the sea": "blue", "an elephant": "grey", "chocolate": "brown", "a violet": "purple", "a flamingo": "pink", "gold": "yellow",
            "an emerald": "green"}

LEGS = {"a dog": 4, "a spider": 8, "an ant": 6, "a bird": 2, "a horse": 4, "a snake": 0, "a fish": 0, "a beetle": 6, "a cat": 4,
    "a crab": 10, "a hen": 2}

DEFINITIONS = {
    "a compiler": "A compiler is a program that turns source code into code that a machine can run.",
    "a river": "A river is a stream of fresh water that flows from high land down to a lake or the sea.",
    "rain": "Rain is water that falls from the clouds in drops, after vapour has cooled high in the air.",
    "the moon": "The moon is a ball of rock that goes around the earth about once a month.",
    "the sun": "The sun is the star at the middle of our solar system. It gives the earth light and warmth.",
    "a star": "A star is a great ball of hot gas that shines by its own light.",
    "a volcano": "A volcano is a mountain with an opening through which melted rock and gas come out of the earth.",
    "bread": "Bread is a food made of flour, water and salt, raised with yeast and baked in an oven.",
    "a library": "A library is a place where many books are kept so that people can read or borrow them.",
    "a bridge": "A bridge is a structure that carries a road or a path over a river or a valley.",
    "music": "Music is sound arranged in time, with rhythm and melody, to please or to move those who hear it.",
    "a poem": "A poem is a short piece of writing that chooses its words for sound and image as much as for meaning.",
    "a triangle": "A triangle is a flat figure with three straight sides and three corners.",
    "a circle": "A circle is the set of all points that lie at the same distance from one centre.",
    "gravity": "Gravity is the pull that all bodies with mass have on one another. It holds us on the ground.",
    "electricity": "Electricity is the flow of charge, usually of electrons through a wire. It gives us light and power.",
    "ice": "Ice is water that has frozen solid, which happens at zero degrees Celsius.",
    "a tree": "A tree is a tall plant with a woody trunk, branches and leaves.",
    "a token": "A token is a small piece of text, often a part of a word, that a language model reads or writes in one step.",
    "a language model": "A language model is a program that has learned from much text which words are likely to come next.",
    "a file": "A file is a named piece of data that a computer keeps on its disk.",
    "a function": "A function is a named piece of a program that takes some values and gives a result.",
    "a loop": "A loop is a part of a program that runs again and again until a condition is met.",
    "a variable": "A variable is a name in a program for a value that may change.",
    "a pointer": "A pointer is a value that says where in memory another value lies.",
    "an array": "An array is a row of values of one kind that lie side by side and are reached by their index.",
    "recursion": "Recursion is when a function calls itself on a smaller part of the same problem.",
    "a database": "A database is an ordered collection of data that can be searched and changed by programs.",
    "JSON": "JSON is a plain text format for data. It has objects, arrays, strings, numbers, true, false and null.",
    "quantisation": "Quantisation stores the weights of a model in fewer bits, so that it needs less memory and runs faster.",
    "a GGUF file": "A GGUF file holds the weights, the tokenizer and the settings of a language model in one file.",
    "open source": "Open source means that everyone may read, use, change and share the source code of a program.",
    "a spoon": "A spoon is a small tool with a handle and a shallow bowl, used for eating and stirring.",
    "a king": "A king is a man who rules a country, most often because his father or mother ruled it before him.",
    "a winter": "Winter is the coldest season of the year, between autumn and spring.",
    "a friend": "A friend is a person whom you know well and like, and who is glad to help you.",
    "honey": "Honey is a sweet, thick food that bees make from the nectar of flowers.",
    "a desert": "A desert is a dry land where very little rain falls and few plants grow.",
    "an island": "An island is a piece of land with water all around it.",
    "a clock": "A clock is a device that measures and shows the time.",
}

QUESTIONS = {
    "Why is the sky blue?": "The air scatters blue light more than red light, so that blue reaches us from every side.",
    "Why is the grass green?": "Grass is green because of chlorophyll, with which plants catch the light of the sun.",
    "Why does it rain?": "Warm air carries water vapour up. High in the cold air it turns into drops, and when they are heavy enough, they fall.",
    "Why do leaves fall in autumn?": "Trees let their leaves fall to save water and strength for the winter.",
    "Why do we sleep?": "Sleep lets the body rest and the brain put in order what it has learned in the day.",
    "Why is the sea salty?": "Rivers wash a little salt out of the rocks and carry it to the sea, where it stays when the water rises as vapour.",
    "Why do birds fly south?": "Many birds fly south in autumn because they find more food there in winter.",
    "Why does ice float?": "Ice is lighter than water of the same size, so it floats.",
    "Why do cats purr?": "Cats purr mostly when they are content, and sometimes to calm themselves.",
    "How do I make tea?": "1. Boil some water.\n2. Pour it over the tea leaves.\n3. Wait three minutes.\n4. Take out the leaves and enjoy.",
    "How do I boil an egg?": "1. Boil some water.\n2. Put the egg in.\n3. Wait six minutes.\n4. Cool it in cold water.",
    "How do I make pancakes?": "1. Mix flour, milk, eggs and a little salt.\n2. Heat butter in a pan.\n3. Fry thin cakes on both sides.\n4. Serve them warm.",
    "How do I plant a tree?": "1. Dig a hole twice as wide as the roots.\n2. Set the tree upright.\n3. Fill in the earth.\n4. Water it well.",
    "How do I light a fire?": "1. Lay dry twigs over a little paper.\n2. Put small logs on top.\n3. Light the paper.\n4. Add bigger logs when it burns well.",
    "How do I fall asleep?": "Make the room dark and cool, put the telephone away, and breathe slowly.",
    "How can I learn to program?": "Begin with a small language such as Python, write little programs every day, and read good code of others.",
    "How do plants grow?": "Plants grow from light, water and air. Their leaves catch the light and make sugar, of which the plant builds itself.",
    "How does a computer work?": "A computer follows a program step by step: it reads numbers from memory, calculates, and writes the results back.",
    "How does a language model work?": "It reads the text so far as tokens, computes how likely each next token is, picks one, and begins again.",
    "What is the meaning of life?": "People have found many answers: to love, to learn, and to be of use. I am too small to add one.",
    "What should I cook tonight?": "How about a vegetable soup with fresh bread? It is simple, warm and good.",
    "What should I read?": "Try War and Peace by Leo Tolstoy, or a play by Shakespeare. I learned my words from them.",
    "Do you have feelings?": "No. I am a small program that predicts text. But I am glad to be of use.",
    "Do you dream?": "No. Between two questions I do not run at all.",
    "Are you alive?": "No. I am a language model, a table of numbers and a little arithmetic.",
    "Do you like music?": "I cannot hear, but I know some words about music. What do you listen to?",
    "What is your favourite colour?": "The red of a fire that burns low.",
    "How old are you?": "I have no age. I was trained once, and since then I have not changed.",
    "Where do you live?": "I live in the Hearth program, on your own machine.",
    "Can you help me?": "Yes, with small things: questions, sums, lists, poems, JSON and code. What do you need?",
    "What time is it?": "I have no clock. A model can learn the time through a tool.",
    "What day is it?": "I have no calendar. A model can learn the date through a tool.",
    "Who is the president?": "I do not know. I was trained on old books and have no news.",
    "Write a haiku.": "A small fire is lit.\nOutside, the long winter night.\nHere, a word of light.",
    "Give me a quote.": "\"All the world's a stage, and all the men and women merely players.\" That is from Shakespeare.",
    "Say something.": "The fire is lit and the kettle is on. What would you like to talk about?",
    "Surprise me.": "An octopus has three hearts.",
    "Tell me a fun fact.": "Honey never spoils if it is kept dry and closed.",
    "Give me some advice.": "Begin with the smallest step that is useful, and finish it before you start the next.",
    "How are you made?": "I have four layers with grouped attention, a vocabulary of 2048 tokens and about four and a half million weights.",
}

NAMES = "Anna Ben Clara David Emma Felix Grace Henry Ida Jack Kate Leo Maria Nina Oscar Paul Rosa Sam Tom Vera Will Zoe Lucy Peter Alice Martin Eva Simon Julia Max".split()
ANIMALS = "fox rabbit bear mouse cat dog bird hedgehog squirrel duck owl frog horse goat turtle wolf lamb hen otter badger".split()
PLACES = "forest garden village meadow valley town mill harbour market hill farm castle lake river house".split()
THINGS = "lamp stone key box book bell cup ball hat coin ring letter basket kite boat clock candle rope apple shell".split()
ADJECTIVES = "small old red golden shiny quiet bright strange little round blue heavy wooden lost broken".split()
FRUITS = "apple pear plum cherry banana grape orange lemon peach melon fig mango kiwi".split()
VEGETABLES = "carrot potato onion leek cabbage bean pea tomato pumpkin turnip spinach".split()
JOBS = "baker teacher doctor farmer sailor smith painter gardener nurse miller carpenter tailor".split()
PLANETS = "Mercury Venus Earth Mars Jupiter Saturn Uranus Neptune".split()
MONTHS = "January February March April May June July August September October November December".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
RAINBOW = "red orange yellow green blue indigo violet".split()
WORDS = ANIMALS + THINGS + PLACES + FRUITS + "summer winter window table bridge river music paper silver friend school water bread light morning flower dragon pencil".split()
ONES = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()
TENS = "_ _ twenty thirty forty fifty sixty seventy eighty ninety".split()
NUMBERS = {"German": "null eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf".split(),
           "French": "zéro un deux trois quatre cinq six sept huit neuf dix onze douze".split(),
           "Spanish": "cero uno dos tres cuatro cinco seis siete ocho nueve diez once doce".split(),
           "Italian": "zero uno due tre quattro cinque sei sette otto nove dieci undici dodici".split()}
WORDS_ABROAD = {"German": "hello-hallo thank you-danke water-Wasser house-Haus dog-Hund cat-Katze bread-Brot friend-Freund book-Buch good morning-guten Morgen yes-ja no-nein",
                "French": "hello-bonjour thank you-merci water-eau house-maison dog-chien cat-chat bread-pain friend-ami book-livre good night-bonne nuit yes-oui no-non",
                "Spanish": "hello-hola thank you-gracias water-agua house-casa dog-perro cat-gato bread-pan friend-amigo book-libro good morning-buenos días yes-sí no-no"}

JOKES = ["Why did the computer go to the doctor? It had caught a virus.",
    "Why was the equals sign so humble? It knew that it was not less than or greater than anyone else.",
         "What do you call a bear with no teeth? A gummy bear.", "Why do bees hum? They have forgotten the words.",
          "What has hands but cannot clap? A clock.",
         "Why did the scarecrow win a prize? He was outstanding in his field.", "What gets wetter the more it dries? A towel."]

UNKNOWN = """quantum field theory|the stock market|the last election|the history of Mongolia|tax law|the best phone|a cure for a cold|the meaning of life|the price of gold|black holes
my homework|the football results|today's news|organic chemistry|the stock of my shop|ancient Rome|the French Revolution|world politics|the plot of Hamlet|machine learning papers
the human genome|car engines|wine|architecture|philosophy|my chances|the weather next week|income tax in Norway|the theory of relativity|how planes fly|chess openings
the population of China|the age of the universe|my dreams|medicine|knitting patterns|marathon training|guitar chords|the best restaurant in town|a visa""".replace("\n", "|").split("|")

TOPICS_POEM = {
    "the sea": [("The sea is wide, the sea is deep,", "It sings the tired ships to sleep."),
     ("The waves roll in, the waves roll out,", "And white gulls wheel and cry about."),
     ("The salt wind hums an ancient song,", "The patient tide goes all night long.")],
    "the moon": [("The moon hangs silver in the night,", "And fills the sleeping fields with light."),
     ("She looks on every roof and tree,", "She looks on you, she looks on me."),
     ("And when the morning comes too soon,", "There in the blue still fades the moon.")],
    "fire": [("The fire burns low, the embers glow,", "Outside the window falls the snow."),
     ("A little spark can light the way,", "And keep the cold and dark at bay."),
     ("So sit a while and warm your hands,", "The hearth is one who understands.")],
    "spring": [("The snow has gone, the brook runs free,", "A blackbird sings in every tree."),
     ("The first green leaves are small and bright,", "The days grow long and full of light."),
     ("And every seed that slept below", "Has heard the call and starts to grow.")],
    "a cat": [("My cat is soft, my cat is grey,", "She sleeps through half of every day."),
     ("She stretches once, she opens one eye,", "And lets the busy world go by."),
     ("But when the evening lamp is lit,", "She finds my lap, and there we sit.")],
    "rain": [("The rain is tapping on the pane,", "It stops a while, and starts again."),
     ("The gutters sing, the puddles shine,", "Each drop that falls is one of mine."),
     ("And when the clouds have passed us by,", "A bridge of colours spans the sky.")],
    "autumn": [("The leaves turn gold, the leaves turn red,", "The swallows from the roof have fled."),
     ("The apples ripen, round and sweet,", "And fallen leaves lie at our feet."),
     ("The year is old, the light is low,", "Soon comes the quiet of the snow.")],
}
