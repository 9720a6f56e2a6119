/* JPEG through libjpeg-turbo, with the accurate integer DCT (islow), whose result is the same on
 * every machine. Pictures are decoded in full, also those that will be shrunk: decoding at m/8 of the
 * size saves a third at most and gives another picture (bench/README.md). libjpeg reports by longjmp:
 * what must survive is in a struct the caller owns. */
#include <setjmp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include <jerror.h>
#include <jpeglib.h>

#include "data/image.h"
#include "data/sample.h"

enum {
  MAX_SCANS = 500,             /* of a progressive file: more is an attack on the decoder's time */
  MAX_DECODER_BYTES = 1 << 30, /* coefficients of a progressive picture */
  STRAY_BYTES = 16,            /* before the end marker: padding that some encoders leave */
};

typedef struct decoder {
  struct jpeg_decompress_struct jpeg; /* first: libjpeg hands back a pointer to it */
  struct jpeg_error_mgr errors;
  struct jpeg_progress_mgr progress;
  jmp_buf escape;
  asl_picture *out;
  char cause[JMSG_LENGTH_MAX];
  asl_status code;
} decoder;

static void on_error(j_common_ptr common) {
  decoder *d = (decoder *)common;
  common->err->format_message(common, d->cause);
  longjmp(d->escape, 1);
}

static void refuse(decoder *d, asl_status code, const char *message) {
  d->code = code;
  snprintf(d->cause, sizeof d->cause, "%s", message);
  longjmp(d->escape, 1);
}

/* Negative levels are warnings. All mean that data is missing or wrong, but for unknown versions of
 * side markers and a few stray bytes before the end marker. */
static void on_message(j_common_ptr common, int level) {
  if (level >= 0) return;
  const struct jpeg_error_mgr *e = common->err;
  if (e->msg_code == JWRN_ADOBE_XFORM || e->msg_code == JWRN_JFIF_MAJOR) return;
  if (e->msg_code == JWRN_EXTRANEOUS_DATA && e->msg_parm.i[0] <= STRAY_BYTES &&
      e->msg_parm.i[1] == JPEG_EOI)
    return;
  if (e->msg_code == JWRN_JPEG_EOF) refuse((decoder *)common, ASL_EDATA, "truncated");
  on_error(common);
}

static void on_output(j_common_ptr common) { (void)common; } /* the core never prints */

static void on_progress(j_common_ptr common) {
  decoder *d = (decoder *)common;
  if (d->jpeg.input_scan_number > MAX_SCANS) refuse(d, ASL_EDATA, "more than 500 scans");
}

static void set_up(decoder *d) {
  d->jpeg.err = jpeg_std_error(&d->errors);
  d->errors.error_exit = on_error;
  d->errors.emit_message = on_message;
  d->errors.output_message = on_output;
  d->progress.progress_monitor = on_progress;
}

static void decode(decoder *d, const uint8_t *bytes, size_t n) {
  struct jpeg_decompress_struct *jpeg = &d->jpeg;
  jpeg_create_decompress(jpeg);
  jpeg->progress = &d->progress;
  jpeg->mem->max_memory_to_use = MAX_DECODER_BYTES;
  jpeg_mem_src(jpeg, bytes, (unsigned long)n);
  jpeg_read_header(jpeg, TRUE);
  if (asl_picture_size_check(jpeg->image_height, jpeg->image_width) != ASL_OK)
    refuse(d, ASL_EDATA, asl_message());
  if (jpeg->jpeg_color_space == JCS_CMYK || jpeg->jpeg_color_space == JCS_YCCK)
    refuse(d, ASL_EDATA, "CMYK colours, whose meaning depends on a printer; save it as RGB");
  jpeg->out_color_space = JCS_RGB;
  jpeg->dct_method = JDCT_ISLOW;
  jpeg_start_decompress(jpeg);
  size_t row = (size_t)jpeg->output_width * 3, height = jpeg->output_height;
  *d->out = (asl_picture){.height = (int)height, .width = (int)jpeg->output_width, .channels = 3};
  d->out->pixels = malloc(row * height);
  if (!d->out->pixels) refuse(d, ASL_ENOMEM, "no memory for its pixels");
  while (jpeg->output_scanline < height) {
    JSAMPROW to = d->out->pixels + row * jpeg->output_scanline;
    jpeg_read_scanlines(jpeg, &to, 1);
  }
  jpeg_finish_decompress(jpeg);
}

static bool run(decoder *d, const uint8_t *bytes, size_t n) {
  if (setjmp(d->escape)) return false;
  decode(d, bytes, n);
  return true;
}

asl_status asl_jpeg_decode(const uint8_t *bytes, size_t n, asl_picture *out) {
  *out = (asl_picture){0};
  decoder d = {.out = out, .code = ASL_EDATA};
  set_up(&d);
  bool done = run(&d, bytes, n);
  jpeg_destroy_decompress(&d.jpeg);
  if (done) return ASL_OK;
  asl_picture_free(out);
  return asl_fail(d.code, "JPEG: %s", d.cause);
}
