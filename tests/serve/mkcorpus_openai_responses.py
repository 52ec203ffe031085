#!/usr/bin/env python3
"""mkcorpus_openai_responses.py: writes the corpus of fuzz_openai_responses: tests/serve/mkcorpus_openai_responses.py"""
import json
import os

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus/openai_responses")
USER = {"role": "user", "content": "hi"}
CASES = {
    "string": {"input": "hi"}, "settings": {"input": "hi", "temperature": 1, "top_p": 0.5, "max_output_tokens": 9, "metadata": {"a": "b"}, "store": False, "stream": True, "truncation": "auto",
                                            "top_logprobs": 2, "include": ["reasoning.encrypted_content"], "reasoning": {"effort": "low", "summary": "auto"}, "user": "me"},
    "items": {"instructions": "x", "input": [{"role": "developer", "content": "y"}, USER, {"type": "reasoning", "summary": [{"type": "summary_text", "text": "z"}], "encrypted_content": "hearth:q"},
                                              {"role": "assistant", "content": [{"type": "output_text", "text": "a"}, {"type": "refusal", "refusal": "b"}]},
                                              {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}, {"type": "function_call_output", "call_id": "c", "output": "d"}]},
    "custom": {"input": [USER, {"type": "custom_tool_call", "call_id": "c", "name": "f", "input": "\"\n"}, {"type": "custom_tool_call_output", "call_id": "c", "output": []}],
               "tools": [{"type": "custom", "name": "f", "format": {"type": "text"}}], "tool_choice": {"type": "custom", "name": "f"}},
    "tools": {"input": "hi", "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": True}], "parallel_tool_calls": False,
              "tool_choice": {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "f"}]}},
    "form": {"input": "hi", "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}, "verbosity": "low"}},
    "previous": {"input": [{"type": "item_reference", "id": "msg_0123456789abcdef0000"}], "previous_response_id": "resp_0123456789abcdef"},
    "reference": {"input": [{"type": "item_reference", "id": "msg_0123456789abcdef0000"}]},
    "hosted": {"input": "hi", "tools": [{"type": "web_search"}]}, "odd": {"input": [{"type": None, "role": "user", "content": [None]}, 5]}, "background": {"input": "hi", "background": True},
}
os.makedirs(HERE, exist_ok=True)
for name, body in CASES.items():
    with open(os.path.join(HERE, name), "w", encoding="utf-8") as f:
        json.dump(body, f)
