#include "emu_test.h"

static const test *&tests(void) {
  static const test *first = nullptr;
  return first;
}

test::test(const char *n, test_function f) : name(n), run(f), next(tests()) { tests() = this; }

void failed(const char *file, int line, const char *what) {
  fflush(stdout);
  fprintf(stderr, "%s:%d: %s\n", file, line, what);
  exit(1);
}

int main(int count, char **arguments) {
  for (const test *t = tests(); t; t = t->next) {
    if (count == 1) puts(t->name);
    else if (strcmp(t->name, arguments[1]) == 0) {
      t->run();
      return 0;
    }
  }
  return count == 1 ? 0 : 2;
}
