#include "emu_fiber.h"

#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "emu_internal.h"

#if defined(__has_include)
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif
#endif
#ifndef VALGRIND_STACK_REGISTER
#define VALGRIND_STACK_REGISTER(first, last) 0u
#define VALGRIND_STACK_DEREGISTER(id) ((void)(id))
#endif

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif
#include "emu_tsan.h"

#if defined(__x86_64__) && !defined(ASL_EMU_UCONTEXT)
#define ASL_EMU_SWITCH_BY_HAND
#else
#include <ucontext.h>
#endif

/* Stacks as a GPU's local memory and more; the kernel gives a page when it is touched. */
static const size_t STACK = (size_t)256 << 10, SPREAD = (size_t)64 << 10;

struct asl_emu_fiber {
  char *memory; /* NULL for the OS thread's own; its first page faults */
  char *low;    /* the last byte of the stack */
  size_t bytes;
  unsigned valgrind;
  void (*entry)(void);
  void *fake_stack, *tsan; /* the sanitizers' */
#ifdef ASL_EMU_SWITCH_BY_HAND
  void *stack; /* where it left off */
#else
  ucontext_t context;
#endif
};

/* Of the last change. */
static __thread asl_emu_fiber *previous, *running;

/* ASan says where the stack lies that was left: the only way to learn the OS thread's. */
ASL_EMU_UNSEEN static void arrived(void) {
#ifdef __SANITIZE_ADDRESS__
  const void *low;
  size_t bytes;
  __sanitizer_finish_switch_fiber(running->fake_stack, &low, &bytes);
  if (!previous->memory) previous->low = (char *)low, previous->bytes = bytes;
#endif
}

ASL_EMU_UNSEEN static void enter(void) {
  arrived();
  running->entry();
  asl_emu_die("a fiber has come to its end");
}

#ifdef ASL_EMU_SWITCH_BY_HAND
/* As if enter() were about to be called by nobody. */
ASL_EMU_UNSEEN static void prepare(asl_emu_fiber *fiber) {
  void **words = (void **)(void *)(fiber->low + fiber->bytes);
  *--words = nullptr; /* where enter() would return to */
  *--words = (void *)enter;
  fiber->stack = words;
}

/* Everything the compiler may keep in a register is lost, except the rounding modes, which no
 * kernel changes. A jump, not a return: the processor would predict that of the fiber which is
 * left. The 128 bytes below the stack pointer belong to the function that this becomes part of. */
ASL_EMU_UNSEEN static void change(asl_emu_fiber *from, asl_emu_fiber *to) {
  void **save = &from->stack, *load = to->stack;
  asm volatile("leaq -128(%%rsp), %%rsp\n"
               "pushq %%rbp\n"
               "leaq 1f(%%rip), %%rax\n"
               "pushq %%rax\n"
               "movq %%rsp, (%%rdi)\n"
               "movq %%rsi, %%rsp\n"
               "popq %%rax\n"
               "jmpq *%%rax\n"
               "1:\n"
               "popq %%rbp\n"
               "leaq 128(%%rsp), %%rsp\n"
               : "+D"(save), "+S"(load)
               :
               : "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
                 "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",
                 "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "memory", "cc");
}
#else
ASL_EMU_UNSEEN static void prepare(asl_emu_fiber *fiber) {
  if (getcontext(&fiber->context) != 0) asl_emu_die("getcontext() failed");
  fiber->context.uc_stack.ss_sp = fiber->low;
  fiber->context.uc_stack.ss_size = fiber->bytes;
  fiber->context.uc_link = nullptr;
  makecontext(&fiber->context, enter, 0);
}

ASL_EMU_UNSEEN static void change(asl_emu_fiber *from, asl_emu_fiber *to) {
  swapcontext(&from->context, &to->context);
}
#endif

ASL_EMU_UNSEEN asl_emu_fiber *asl_emu_fiber_new(void (*entry)(void), int index) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE), spread = (size_t)index * 576 % SPREAD;
  void *memory = mmap(nullptr, STACK, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED || mprotect(memory, page, PROT_NONE) != 0)
    asl_emu_die("no memory for the stack of a thread (%zu bytes)", STACK);
  asl_emu_fiber *fiber = new asl_emu_fiber();
  fiber->memory = (char *)memory;
  fiber->low = fiber->memory + page;
  fiber->bytes = STACK - page - spread;
  fiber->entry = entry;
  fiber->valgrind = VALGRIND_STACK_REGISTER(fiber->low, fiber->memory + STACK);
#ifdef __SANITIZE_THREAD__
  fiber->tsan = __tsan_create_fiber(0);
#endif
  prepare(fiber);
  return fiber;
}

asl_emu_fiber *asl_emu_fiber_native(void) {
  asl_emu_fiber *fiber = new asl_emu_fiber();
#ifdef __SANITIZE_THREAD__
  fiber->tsan = __tsan_get_current_fiber();
#endif
  return fiber;
}

void asl_emu_fiber_free(asl_emu_fiber *fiber) {
  if (fiber->memory) {
    VALGRIND_STACK_DEREGISTER(fiber->valgrind);
#ifdef __SANITIZE_THREAD__
    __tsan_destroy_fiber(fiber->tsan);
#endif
    munmap(fiber->memory, STACK);
  }
  delete fiber;
}

ASL_EMU_UNSEEN void asl_emu_fiber_switch(asl_emu_fiber *from, asl_emu_fiber *to) {
  previous = from;
  running = to;
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_start_switch_fiber(&from->fake_stack, to->low, to->bytes);
#endif
#ifdef __SANITIZE_THREAD__
  __tsan_switch_to_fiber(to->tsan, __tsan_switch_to_fiber_no_sync);
#endif
  change(from, to);
  arrived();
}
