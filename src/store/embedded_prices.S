/* embedded_prices.S: puts share/prices.ini among the read-only data; see embedded_prices.h. The path is relative to the top of the
 * checkout, where make runs. The Makefile names the file as a prerequisite. */
    .section .rodata
    .globl hearth_embedded_prices
    .hidden hearth_embedded_prices
    .type hearth_embedded_prices, %object
hearth_embedded_prices:
    .incbin "share/prices.ini"
    .size hearth_embedded_prices, . - hearth_embedded_prices
    .globl hearth_embedded_prices_end
    .hidden hearth_embedded_prices_end
    .type hearth_embedded_prices_end, %object
hearth_embedded_prices_end:
    .byte 0
    .size hearth_embedded_prices_end, 1
    .section .note.GNU-stack, "", %progbits
