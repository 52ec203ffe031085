#!/usr/bin/env python3
"""mkcorpus_talk.py: writes the corpus of fuzz_talk: tests/serve/mkcorpus_talk.py"""
import json
import os

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus/talk")
U = {"role": "user", "content": "Hello"}
TOOL = {"name": "get_weather", "description": "d", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}, "input_examples": [{"city": "x"}]}
CALL = {"role": "assistant", "content": [{"type": "thinking", "thinking": "t", "signature": "s"}, {"type": "tool_use", "id": "a", "name": "get_weather", "input": {"city": "x"}}]}
DOC = {"type": "document", "title": "t", "context": "c", "source": {"type": "content", "content": [{"type": "text", "text": "x"}]}, "citations": {"enabled": True}}
RESULT = {"type": "tool_result", "tool_use_id": "a", "is_error": True, "content": [{"type": "search_result", "title": "t", "source": "s", "content": [{"type": "text", "text": "x"}]}, {"type": "tool_reference", "tool_name": "n"}]}
BILLING = "x-anthropic-billing-header: cc_version=2.1; cch=abc;\nBe kind.\nToken usage: 1/2; 1 remaining"
FUNCTION = {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}
CASES = {
    "turns": (0, {"max_tokens": 9, "system": BILLING, "messages": [U, U, CALL, {"role": "user", "content": [RESULT, DOC]}, {"role": "system", "content": "Late.", "clear_at": "never"}, {"role": "assistant", "content": "Be"}]}),
    "tools": (0, {"max_tokens": 9, "stream": True, "messages": [U], "tools": [TOOL, {"type": "bash_20250124", "name": "bash"}, {"type": "memory_20250818", "name": "memory"}], "tool_choice": {"type": "auto"},
                  "thinking": {"type": "enabled", "budget_tokens": 1024, "display": "omitted"}, "stop_sequences": ["x"], "metadata": {"user_id": "u"}, "output_config": {"effort": "max"}}),
    "count": (1, {"system": [{"type": "text", "text": BILLING, "cache_control": {"type": "ephemeral", "ttl": "1h"}}], "messages": [{"role": "user", "content": [{"type": "document", "source": {"type": "base64", "media_type": "text/plain", "data": "SGk="}}]}]}),
    "thread": (0, {"max_tokens": 9, "messages": [U], "thread": {"type": "create"}}),
    "orphan": (0, {"max_tokens": 9, "messages": [{"role": "user", "content": [RESULT]}]}),
    "raw": (4, {"max_tokens": 9, "system": BILLING, "messages": [U]}),
    "chat": (2, {"messages": [{"role": "developer", "content": BILLING}, U, {"role": "assistant", "content": None, "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
                              {"role": "tool", "tool_call_id": "a", "content": [{"type": "text", "text": "x"}]}, {"role": "system", "content": "Late."}], "tools": [FUNCTION], "reasoning_effort": "low", "seed": 7}),
    "continued": (2, {"messages": [U, {"role": "assistant", "content": "He"}], "continue_final_message": True, "stop": ["a", "b"], "logit_bias": {"5": -100}, "n": 2, "stream_options": {"include_usage": True}}),
    "refused": (2, {"messages": [U, {"role": "assistant", "refusal": "no"}], "web_search_options": {}}),
}
os.makedirs(HERE, exist_ok=True)
for name, (kind, body) in CASES.items():
    with open(os.path.join(HERE, name), "wb") as f:
        f.write(bytes([kind]) + json.dumps(body).encode())
