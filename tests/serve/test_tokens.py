#!/usr/bin/env python3
"""test_tokens.py: POST /tokenize, /detokenize and /apply-template, GET /props and /v1/models of `hearth serve`: what `hearth tokenize` and `hearth template` say, in the shapes of
llama.cpp's server and of vLLM's; refusals that name the field; and, where Python has it, the official SDK."""
import json
import os
import random
import sys
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from server import Server  # noqa: E402
from hearth import EMBER, check, finish, hearth, tmp  # noqa: E402
from tinymodels import CTX, bert, coder  # noqa: E402

BERT, CODER = bert("bert"), coder("spelt")
TEXTS = ["", "Hello", "The capital of France is Paris.\n", "  spaces   and\ttabs\n\n", "H\u00e9llo \u6f22\u5b57 \U0001f600", "<|im_start|>user\nHi<|im_end|>", "a\x00b", "def f(x):\n    return x + 1\n"]
HELLO = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi <|im_end|> \u6f22"}]
TOOL = {"type": "function", "function": {"name": "clock", "description": "The time", "parameters": {"type": "object", "properties": {"zone": {"type": "string"}}}}}


def ids_of(text, *more):
    return [int(x) for x in hearth("tokenize", EMBER, *more, stdin=text.encode()).text.split()]


def post(s, path, **body):
    return s.post(path, {"model": "ember", **body})[2]


def texts():
    rng = random.Random(7)
    yield from TEXTS
    for _ in range(30):
        yield "".join(rng.choice("abc \n\t.,<|>_im\u00e9\u6f22\U0001f600012") for _ in range(rng.randrange(1, 60)))


def tokens(s):
    for text in texts():
        plain, special = ids_of(text), ids_of(text, "--special")
        r = post(s, "/tokenize", content=text)
        check(r == {"tokens": special}, "the tokens of hearth tokenize", (text, r, special))
        check(post(s, "/tokenize", content=text, parse_special=False)["tokens"] == plain, "with spellings as text", text)
        r = post(s, "/tokenize", prompt=text, return_token_strs=True)
        check(r["tokens"] == ids_of(text, "--special", "--bos") and r["count"] == len(r["tokens"]) == len(r["token_strs"]) and r["max_model_len"] == 32768, "as vLLM's", r)
        pieces = post(s, "/tokenize", content=text, with_pieces=True)["tokens"]
        joined = b"".join(p["piece"].encode() if isinstance(p["piece"], str) else bytes(p["piece"]) for p in pieces)
        check([p["id"] for p in pieces] == special and joined == text.encode(), "pieces", pieces)
        check(all(isinstance(p["piece"], str) or not bytes(p["piece"]).decode("utf-8", "ignore") for p in pieces), "bytes only where there is no text", pieces)
        back = post(s, "/detokenize", tokens=special)
        check(back == {"content": text, "prompt": text}, "and back", back)
    part = post(s, "/detokenize", tokens=ids_of("\u6f22")[:-1])
    check("\ufffd" in part["content"] and bytes(part["bytes"]) == " \u6f22".encode()[:-1].lstrip(), "a part of a character", part)
    for model, add in (("bert", True), ("spelt", True), ("spelt", False)):
        r = s.post("/tokenize", {"model": model, "content": "the cats", "add_special": add})[2]["tokens"]
        want = [int(x) for x in hearth("tokenize", BERT if model == "bert" else CODER, "--special", *(["--bos"] if add else []), stdin=b"the cats").text.split()]
        check(r == want and len(r) > 2, f"{model}: what begins and ends a text, {add}", (r, want))
    check(s.post("/tokenize", {"model": "bert", "prompt": "cats"})[2]["max_model_len"] == CTX, "what a model reads at most")
    check(s.post("/tokenize", {"content": "Hello"})[2]["tokens"] == ids_of("Hello"), "the first model is the default")


def templates(s):
    source = hearth("inspect", EMBER, "--json").json
    text = s.get("/props")[2]["chat_template"]
    check(bool(source) and len(text) > 500, "the template is told", text)
    file = tmp("t.jinja", text)

    def rendered(**context):
        return hearth("template", file, stdin=json.dumps({"add_generation_prompt": True, "bos_token": "<|endoftext|>", "eos_token": "<|im_end|>", **context}).encode()).text
    for more, context in (({}, {}), ({"add_generation_prompt": False}, {"add_generation_prompt": False}), ({"tools": [TOOL]}, {"tools": [TOOL]}), ({"chat_template_kwargs": {"enable_thinking": False}}, {"enable_thinking": False})):
        r = post(s, "/apply-template", messages=HELLO, **more)
        want = rendered(messages=HELLO, **context)
        check(list(r) == ["prompt"] and r["prompt"] == want and "Be brief." in want, f"what hearth template says, {more}", (r, want))
        t = post(s, "/tokenize", messages=HELLO, **more)
        chat = s.post("/v1/chat/completions", {"model": "ember", "messages": HELLO, "max_tokens": 1, **more})[2]
        check("add_generation_prompt" in more or t["count"] == chat["usage"]["prompt_tokens"], "as many tokens as a conversation has", (t, chat["usage"]))
        check(post(s, "/detokenize", tokens=t["tokens"])["content"] == want, "of that text", t)
    control = ids_of("<|im_end|>", "--special")
    t = post(s, "/tokenize", messages=HELLO)["tokens"]
    check(t.count(control[0]) == 2, "what a user spells is text", t)


REFUSED = [  # path, body, status, the field that is named
    ("/tokenize", {}, 400, "content"), ("/tokenize", {"content": 5}, 400, "content"), ("/tokenize", {"prompt": ["x"]}, 400, "prompt"), ("/tokenize", {"content": "x", "with_pieces": "y"}, 400, "with_pieces"),
    ("/tokenize", {"content": "x", "add_special": 1}, 400, "add_special"), ("/tokenize", {"prompt": "x", "add_special_tokens": 1}, 400, "add_special_tokens"), ("/tokenize", {"messages": []}, 400, "messages"),
    ("/tokenize", {"messages": [{"role": "x"}]}, 400, "messages[0].role"), ("/tokenize", {"content": "x", "model": "none"}, 404, None), ("/tokenize", b"[", 400, None),
    ("/detokenize", {}, 400, "tokens"), ("/detokenize", {"tokens": "x"}, 400, "tokens"), ("/detokenize", {"tokens": [1, "x"]}, 400, "tokens"), ("/detokenize", {"tokens": [-1]}, 400, "tokens"),
    ("/detokenize", {"tokens": [2048]}, 400, "tokens"), ("/detokenize", {"tokens": [1.5]}, 400, "tokens"), ("/detokenize", {"tokens": [2 ** 40]}, 400, "tokens"),
    ("/apply-template", {}, 400, "messages"), ("/apply-template", {"messages": HELLO, "tools": [{}]}, 400, "tools[0].function"), ("/apply-template", {"messages": HELLO, "chat_template_kwargs": 1}, 400, "chat_template_kwargs"),
    ("/apply-template", {"messages": HELLO, "add_generation_prompt": "no"}, 400, "add_generation_prompt"), ("/apply-template", {"messages": [{"role": "tool", "content": "x"}]}, 400, "messages[0].tool_call_id"),
]


def refusals(s):
    for path, body, status, field in REFUSED:
        got, _, answer = s.post(path, {"model": "ember", **body} if isinstance(body, dict) else body)
        error = answer.get("error", {}) if isinstance(answer, dict) else {}
        check(got == status and error.get("param") == field and error.get("message"), f"{path}: refused with {status}, naming {field}", (str(body)[:300], got, answer))
    status, _, answer = s.post("/apply-template", {"model": "bert", "messages": HELLO})
    check(status == 400 and "template" in answer["error"]["message"], "a model without a template", answer)
    check(s.get("/tokenize")[0] == 405, "only to be posted")


def models(s):
    names = ["ember", "bert", "spelt"]
    listed = s.get("/v1/models")[2]
    check(listed["object"] == "list" and [m["id"] for m in listed["data"]] == names and all(m["object"] == "model" and m["owned_by"] and isinstance(m["created"], int) for m in listed["data"]), "the models", listed)
    for name, context, infill, writes in (("ember", 32768, False, True), ("bert", CTX, False, False), ("spelt", 512, True, True)):
        check(s.get("/v1/models/" + name)[2] in listed["data"], "one of them", name)
        p = s.get("/props?model=" + urllib.parse.quote(name))[2]
        check(p["model_alias"] == name and p["default_generation_settings"]["n_ctx"] == context and p["infill"] is infill and p["generates"] is writes and p["modalities"] == {"vision": False, "audio": False}, "its properties", p)
    check(s.get("/v1/models/other")[0] == 404 and s.get("/props?model=other")[0] == 404, "what is not there")
    try:
        import openai
    except ImportError:
        print("SKIPPED: the official SDK: make oracles")
        return
    client = openai.OpenAI(base_url=s.base + "/v1", api_key="none")
    check([m.id for m in client.models.list()] == names and client.models.retrieve("spelt").id == "spelt", "SDK: models")
    try:
        client.models.retrieve("other")
        check(False, "SDK: no such model")
    except openai.NotFoundError as e:
        check(e.status_code == 404, "SDK: no such model", e)


with Server(models=[EMBER, BERT, CODER]) as server:
    tokens(server)
    templates(server)
    refusals(server)
    models(server)
    code, err = server.stop()
    check(code == 0 and "ERROR" not in err, "it ends in order", (code, err))
finish()
