#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MESSAGE_BYTES = 1024 };
static _Thread_local char message[MESSAGE_BYTES];

asl_status asl_fail(asl_status code, const char *format, ...) {
  va_list args;
  va_start(args, format);
  vsnprintf(message, sizeof message, format, args);
  va_end(args);
  return code;
}

asl_status asl_wrap(asl_status code, const char *format, ...) {
  if (code == ASL_OK) return code;
  char cause[MESSAGE_BYTES];
  memcpy(cause, message, sizeof cause);
  va_list args;
  va_start(args, format);
  int n = vsnprintf(message, sizeof message, format, args);
  va_end(args);
  if (n < 0 || n >= MESSAGE_BYTES - 3) return code;
  memcpy(message + n, ": ", 2);
  size_t room = sizeof message - (size_t)n - 3;
  size_t length = strnlen(cause, room);
  memcpy(message + n + 2, cause, length);
  message[(size_t)n + 2 + length] = 0;
  return code;
}

const char *asl_message(void) { return message; }
