import { describe, expect, it } from "vitest"
import { chatTemplate } from "../../../kernel/engine/chat-template.ts"
import { nanoTemplate } from "../../fixtures/random-gguf.ts"

/** Short templates in the manner of well-known families. */
const chatmlStyle =
  "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"

/** ChatML with a default system message, and an empty thought where thinking is off, dropped from past answers. */
const qwenStyle =
  "{%- if messages[0].role != 'system' %}{{- '<|im_start|>system\\nYou are kind.<|im_end|>\\n' }}{%- endif %}" +
  "{%- for m in messages %}{%- if m.role == 'assistant' %}{%- set text = m.content.split('</think>')[-1].lstrip('\\n') %}" +
  "{%- else %}{%- set text = m.content %}{%- endif %}" +
  "{{- '<|im_start|>' + m.role + '\\n' + text + '<|im_end|>\\n' }}{%- endfor %}" +
  "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}" +
  "{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}{%- endif %}"

const llama3Style =
  "{{ bos_token }}{% for m in messages %}{{ '<|start_header_id|>' + m['role'] + '<|end_header_id|>\\n\\n' + (m['content'] | trim) + '<|eot_id|>' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"

/** No system role, roles must alternate, the model is called so. */
const gemmaStyle =
  "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}" +
  "{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Roles must alternate') }}{% endif %}" +
  "{% set role = 'model' if m['role'] == 'assistant' else m['role'] %}" +
  "{{ '<start_of_turn>' + role + '\\n' + (m['content'] | trim) + '<end_of_turn>\\n' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}"

/** The system text goes into the first user message; an answer is closed by the end token; nothing opens one. */
const mistralStyle =
  "{{ bos_token }}{% if messages[0].role == 'system' %}{% set s = messages[0].content + '\\n\\n' %}{% set rest = messages[1:] %}" +
  "{% else %}{% set s = '' %}{% set rest = messages %}{% endif %}" +
  "{% for m in rest %}{% if m.role == 'user' %}{{ '[INST] ' + (s if loop.first else '') + m.content + ' [/INST]' }}" +
  "{% else %}{{ ' ' + m.content + eos_token }}{% endif %}{% endfor %}"

describe("the pieces of a chat template", () => {
  it("are what stands around each role in ChatML", async () => {
    expect(await chatTemplate(chatmlStyle, "</s>")).toEqual({
      system: ["<|im_start|>system\n", "<|im_end|>\n"],
      user: ["<|im_start|>user\n", "<|im_end|>\n"],
      model: ["<|im_start|>assistant\n", "<|im_end|>\n"]
    })
  })

  it("are the embedded model's own", async () => {
    expect(await chatTemplate(nanoTemplate, "<|end|>")).toEqual({
      system: ["<|system|>", "<|end|>"],
      user: ["<|user|>", "<|end|>"],
      model: ["<|assistant|>", "<|end|>"]
    })
  })

  it("open the model's turn with thinking off, and keep a default system message out", async () => {
    expect(await chatTemplate(qwenStyle, "<|im_end|>")).toEqual({
      system: ["<|im_start|>system\n", "<|im_end|>\n"],
      user: ["<|im_start|>user\n", "<|im_end|>\n"],
      model: ["<|im_start|>assistant\n<think>\n\n</think>\n\n", "<|im_end|>\n"]
    })
  })

  it("leave the begin token to the engine", async () => {
    expect(await chatTemplate(llama3Style, "<|eot_id|>")).toEqual({
      system: ["<|start_header_id|>system<|end_header_id|>\n\n", "<|eot_id|>"],
      user: ["<|start_header_id|>user<|end_header_id|>\n\n", "<|eot_id|>"],
      model: ["<|start_header_id|>assistant<|end_header_id|>\n\n", "<|eot_id|>"]
    })
  })

  it("give the system text a user message where there is no system role", async () => {
    expect(await chatTemplate(gemmaStyle, "<eos>")).toEqual({
      system: ["<start_of_turn>user\n", "<end_of_turn>\n"],
      user: ["<start_of_turn>user\n", "<end_of_turn>\n"],
      model: ["<start_of_turn>model\n", "<end_of_turn>\n"]
    })
  })

  it("manage where the model's turn opens with nothing but a space", async () => {
    expect(await chatTemplate(mistralStyle, "</s>")).toEqual({
      system: ["[INST] ", " [/INST]"],
      user: ["[INST] ", " [/INST]"],
      model: ["", "</s>"]
    })
  })

  it("close a thought that the template leaves open, and name the channel that it leaves to the model", async () => {
    const thinking =
      "{% for m in messages %}<{{ m.role }}>{{ m.content }}</s>{% endfor %}{% if add_generation_prompt %}<assistant><think>\n{% endif %}"
    expect((await chatTemplate(thinking, "</s>"))?.model).toEqual(["<assistant>", "</s>"])
    const channels =
      "{% for m in messages %}<{{ m.role }}>{{ '<final>' if m.role == 'assistant' }}{{ m.content }}</s>{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
    expect((await chatTemplate(channels, "</s>"))?.model).toEqual(["<assistant><final>", "</s>"])
  })

  it("are refused where the template is not of this kind", async () => {
    for (const source of [
      "{{ messages | length }}",
      "{% for m in messages %}{{ loop.index }}:{{ m.content }}\n{% endfor %}",
      "{% for m in messages | reverse %}<{{ m.role }}>{{ m.content }}{% endfor %}",
      "{% for m in messages %}{{ m.content }}{{ m.content }}{% endfor %}",
      "{% for m in messages %}{{ m.content | upper }};{% endfor %}",
      "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}{% if add_generation_prompt %}[go]{% endif %}",
      "{{ raise_exception('no') }}",
      "{% for m in messages %}"
    ]) {
      expect(await chatTemplate(source, "</s>"), source).toBeUndefined()
    }
  })
})
