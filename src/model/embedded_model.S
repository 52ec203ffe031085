/* embedded_model.S: puts models/ember/ember.gguf among the read-only data; see embedded.h. The path is relative to the top of the
 * checkout, where make runs. The Makefile names the file as a prerequisite. */
    .section .rodata
    .balign 64
    .globl hearth_embedded_model
    .hidden hearth_embedded_model
    .type hearth_embedded_model, %object
hearth_embedded_model:
    .incbin "models/ember/ember.gguf"
    .size hearth_embedded_model, . - hearth_embedded_model
    .globl hearth_embedded_model_end
    .hidden hearth_embedded_model_end
    .type hearth_embedded_model_end, %object
hearth_embedded_model_end:
    .byte 0
    .size hearth_embedded_model_end, 1
    .section .note.GNU-stack, "", %progbits
