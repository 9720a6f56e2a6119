/* Status codes and the message that goes with them.
 *
 * Every core function that can fail returns an asl_status. On failure a message that states the
 * cause with its values is left in thread-local storage; callers add context with asl_wrap().
 * Core code never prints, exits or longjmps. */
#ifndef ASL_BASE_STATUS_H
#define ASL_BASE_STATUS_H

typedef enum asl_status {
  ASL_OK = 0,
  ASL_EINVAL,  /* misuse: shape, dtype, argument */
  ASL_ENOTSUP, /* not built, or not on this device */
  ASL_ENOMEM,  /* memory */
  ASL_EDEVICE, /* device or vendor library */
  ASL_EIO,     /* the outside world: files, disks */
  ASL_EDATA,   /* a file's content is broken or out of range */
} asl_status;

/* Sets the message and returns `code`. */
asl_status asl_fail(asl_status code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Prepends "context: " to the current message and returns `code`; does nothing when code is ASL_OK.
 */
asl_status asl_wrap(asl_status code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The last failure's message in this thread; valid until the next failure. */
const char *asl_message(void);

#define ASL_TRY(call)                                                                              \
  do {                                                                                             \
    asl_status asl_try_ = (call);                                                                  \
    if (asl_try_ != ASL_OK) return asl_try_;                                                       \
  } while (0)

#endif
