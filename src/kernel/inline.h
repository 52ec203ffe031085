/* inline.h: before a loop over an array of vectors: unrolled whole, so that the array is registers. And functions that must melt into their callers, whose
 * arguments are constants there. Neither under sanitizers, whose checks would be copied with them: minutes of compiling. */
#ifndef HEARTH_KERNEL_INLINE_H
#define HEARTH_KERNEL_INLINE_H

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define UNROLL
#define INLINE static inline
#else
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 32")
#endif
#define INLINE static inline __attribute__((always_inline))
#endif

#endif
