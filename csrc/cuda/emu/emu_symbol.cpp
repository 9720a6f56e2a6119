#include "emu_symbol.h"

#include <cxxabi.h>
#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

typedef ElfW(Ehdr) elf_header;
typedef ElfW(Shdr) elf_section;
typedef ElfW(Sym) elf_symbol;

struct file {
  const char *bytes;
  size_t size;
};

static bool has(const file *f, uint64_t first, uint64_t count, uint64_t size) {
  return first <= f->size && count <= (f->size - first) / size;
}

/* The name at `address`, as the file counts addresses, or NULL. The string ends inside the file. */
static const char *name_in(const file *f, uint64_t address) {
  if (f->size < sizeof(elf_header) || memcmp(f->bytes, ELFMAG, SELFMAG) != 0) return nullptr;
  const elf_header *header = (const elf_header *)f->bytes;
  if (!has(f, header->e_shoff, header->e_shnum, sizeof(elf_section))) return nullptr;
  const elf_section *sections = (const elf_section *)(f->bytes + header->e_shoff);
  for (int i = 0; i < header->e_shnum; i++) {
    const elf_section *s = &sections[i];
    if (s->sh_type != SHT_SYMTAB || s->sh_link >= header->e_shnum) continue;
    const elf_section *strings = &sections[s->sh_link];
    uint64_t count = s->sh_size / sizeof(elf_symbol);
    if (!has(f, s->sh_offset, count, sizeof(elf_symbol))) continue;
    if (!has(f, strings->sh_offset, strings->sh_size, 1)) continue;
    const elf_symbol *symbols = (const elf_symbol *)(f->bytes + s->sh_offset);
    for (uint64_t k = 0; k < count; k++) {
      if (symbols[k].st_value != address || (symbols[k].st_info & 15) != STT_FUNC) continue;
      if (symbols[k].st_name >= strings->sh_size) continue;
      const char *name = f->bytes + strings->sh_offset + symbols[k].st_name;
      if (memchr(name, 0, strings->sh_size - symbols[k].st_name)) return name;
    }
  }
  return nullptr;
}

/* The source's name: without "void", which a template's has, and without the parameters, which
 * follow the first '(' outside of <>. */
static void write_name(const char *symbol, char *name, size_t bytes) {
  int status;
  char *readable = abi::__cxa_demangle(symbol, nullptr, nullptr, &status);
  const char *whole = readable ? readable : symbol;
  snprintf(name, bytes, "%s", strncmp(whole, "void ", 5) == 0 ? whole + 5 : whole);
  free(readable);
  int nested = 0;
  for (char *c = name; *c; c++) {
    nested += (*c == '<') - (*c == '>');
    if (*c == '(' && nested == 0 && c > name) *c-- = '\0';
  }
}

static bool open_file(const char *path, file *f) {
  struct stat info;
  int descriptor = open(path, O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return false;
  void *bytes = MAP_FAILED;
  if (fstat(descriptor, &info) == 0 && info.st_size > 0)
    bytes = mmap(nullptr, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, descriptor, 0);
  close(descriptor);
  *f = {(const char *)bytes, (size_t)info.st_size};
  return bytes != MAP_FAILED;
}

void asl_emu_symbol(const void *function, char *name, size_t bytes) {
  Dl_info info;
  file f;
  snprintf(name, bytes, "at %p", function);
  if (!dladdr(function, &info) || !info.dli_fname || !open_file(info.dli_fname, &f)) return;
  uint64_t offset = (uint64_t)((const char *)function - (const char *)info.dli_fbase);
  const char *symbol = name_in(&f, offset);
  if (symbol) write_name(symbol, name, bytes);
  else snprintf(name, bytes, "at %s+0x%llx", info.dli_fname, (unsigned long long)offset);
  munmap((void *)f.bytes, f.size);
}
