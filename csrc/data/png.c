/* PNG through libpng. libpng reports by longjmp: every function that calls setjmp keeps what must
 * survive in a struct the caller owns, and frees it in one place. */
#include <png.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "data/image.h"
#include "data/png.h"
#include "data/sample.h"

/* Deflate expands at most 1032 times (a match of 258 bytes from 2 bits). */
enum { DEFLATE_RATIO = 1032 };

/* What becomes of the pixels. */
typedef enum decoding { TO_PICTURE, TO_LABEL_MAP, TO_VALUES } decoding;

typedef struct decoder {
  const uint8_t *bytes;
  size_t n, at;
  decoding to;
  asl_picture *out; /* its channels are set first */
  uint8_t *wide;    /* 16-bit values, most significant byte first */
  int bits;         /* of a value in the file */
  png_bytep *rows;
  char cause[256];
  asl_status code; /* of a failure; ASL_EDATA unless said otherwise */
} decoder;

static void on_error(png_structp png, png_const_charp message) {
  decoder *d = png_get_error_ptr(png);
  if (!d->cause[0]) snprintf(d->cause, sizeof d->cause, "%s", message);
  png_longjmp(png, 1);
}

/* libpng warns about odd but harmless side chunks and about damaged image data alike; the chunk's
 * name leads the message. */
static void on_warning(png_structp png, png_const_charp message) {
  static const char *const vital[] = {"IHDR", "PLTE", "IDAT", "IEND"};
  for (size_t i = 0; i < sizeof vital / sizeof *vital; i++)
    if (strncmp(message, vital[i], 4) == 0) on_error(png, message);
}

static void on_read(png_structp png, png_bytep to, size_t n) {
  decoder *d = png_get_io_ptr(png);
  if (n > d->n - d->at) png_error(png, "truncated");
  memcpy(to, d->bytes + d->at, n);
  d->at += n;
}

/* Leaves through on_error with a code and message of ours. */
static void refuse(png_structp png, decoder *d, asl_status code, const char *message) {
  d->code = code;
  png_error(png, message);
}

static void check_header(png_structp png, png_infop info, decoder *d) {
  uint32_t width = png_get_image_width(png, info), height = png_get_image_height(png, info);
  if (asl_picture_size_check(height, width) != ASL_OK) refuse(png, d, ASL_EDATA, asl_message());
  size_t claimed = png_get_rowbytes(png, info) * height;
  if (claimed / DEFLATE_RATIO > d->n) refuse(png, d, ASL_EDATA, "truncated");
  d->out->height = (int)height;
  d->out->width = (int)width;
  d->bits = png_get_bit_depth(png, info);
}

static void choose_picture(png_structp png, png_infop info) {
  int type = png_get_color_type(png, info);
  png_set_strip_16(png);
  png_set_strip_alpha(png);
  if (type == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(png);
  if (!(type & PNG_COLOR_MASK_COLOR)) {
    if (png_get_bit_depth(png, info) < 8) png_set_expand_gray_1_2_4_to_8(png);
    png_set_gray_to_rgb(png);
  }
}

static void choose_label(png_structp png, png_infop info, decoder *d) {
  int type = png_get_color_type(png, info);
  bool labels = d->to == TO_LABEL_MAP;
  if (type != PNG_COLOR_TYPE_GRAY && type != PNG_COLOR_TYPE_PALETTE) {
    if (type & PNG_COLOR_MASK_COLOR)
      refuse(png, d, ASL_EDATA,
             labels ? "a colour picture; a label map must be a grey or palette PNG"
                    : "a colour picture; it must be a grey or palette PNG");
    refuse(png, d, ASL_EDATA,
           labels ? "a grey picture with alpha; a label map must be a grey or palette PNG"
                  : "a grey picture with alpha; it must be a grey or palette PNG");
  }
  png_set_packing(png); /* 1, 2 and 4 bits to one value per byte, not scaled */
}

static void choose_colours(png_structp png, png_infop info, decoder *d) {
  if (png_get_color_type(png, info) != PNG_COLOR_TYPE_RGB)
    refuse(png, d, ASL_EDATA, "not a RGB picture; it must be a RGB PNG without palette and alpha");
}

static void *take(png_structp png, decoder *d, size_t bytes) {
  void *memory = malloc(bytes);
  if (!memory) refuse(png, d, ASL_ENOMEM, "no memory for its pixels");
  return memory;
}

static void read_rows(png_structp png, png_infop info, decoder *d) {
  size_t height = (size_t)d->out->height, row = png_get_rowbytes(png, info);
  bool wide = png_get_bit_depth(png, info) == 16;
  if (row != (size_t)d->out->width * (size_t)d->out->channels * (wide ? 2 : 1))
    refuse(png, d, ASL_EDATA, "an unexpected size of row");
  uint8_t *pixels = take(png, d, row * height);
  if (wide) d->wide = pixels;
  else d->out->pixels = pixels;
  d->rows = take(png, d, height * sizeof *d->rows);
  for (size_t y = 0; y < height; y++) d->rows[y] = pixels + y * row;
  png_read_image(png, d->rows);
  png_read_end(png, NULL);
}

static void decode(png_structp png, png_infop info, decoder *d) {
  png_set_read_fn(png, d, on_read);
  /* Limits are ours (check_header); side chunks are not read, so they cannot take memory. */
  png_set_user_limits(png, 0x7fffffff, 0x7fffffff);
  png_set_chunk_malloc_max(png, 1 << 20);
  png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
  png_read_info(png, info);
  check_header(png, info, d);
  if (d->to == TO_PICTURE) choose_picture(png, info);
  else if (d->out->channels == 1) choose_label(png, info, d);
  else choose_colours(png, info, d);
  png_set_interlace_handling(png);
  png_read_update_info(png, info);
  read_rows(png, info, d);
}

static bool run(png_structp png, png_infop info, decoder *d) {
  if (setjmp(png_jmpbuf(png))) return false;
  decode(png, info, d);
  return true;
}

/* 16-bit labels, most significant byte first, as bytes. */
static asl_status narrow(decoder *d) {
  size_t n = (size_t)d->out->height * (size_t)d->out->width;
  d->out->pixels = malloc(n);
  if (!d->out->pixels) return asl_fail(ASL_ENOMEM, "no memory for %zu pixels", n);
  for (size_t i = 0; i < n; i++) {
    if (d->wide[2 * i] != 0)
      return asl_fail(ASL_EDATA,
                      "the 16-bit label map holds the value %d; values must be below 256",
                      d->wide[2 * i] << 8 | d->wide[2 * i + 1]);
    d->out->pixels[i] = d->wide[2 * i + 1];
  }
  return ASL_OK;
}

/* Leaves the pixels in out->pixels or, with 16 bits, in wide. */
static asl_status decode_png(decoder *d) {
  png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, d, on_error, on_warning);
  png_infop info = png ? png_create_info_struct(png) : NULL;
  asl_status status = ASL_OK;
  if (!info) status = asl_fail(ASL_ENOMEM, "no memory for the PNG decoder");
  else if (!run(png, info, d)) status = asl_fail(d->code, "PNG: %s", d->cause);
  png_destroy_read_struct(&png, &info, NULL);
  free(d->rows);
  return status;
}

asl_status asl_png_decode(const uint8_t *bytes, size_t n, asl_picture_kind kind, asl_picture *out) {
  decoding to = kind == ASL_LABEL_MAP ? TO_LABEL_MAP : TO_PICTURE;
  *out = (asl_picture){.channels = to == TO_PICTURE ? 3 : 1};
  decoder d = {.bytes = bytes, .n = n, .to = to, .out = out, .code = ASL_EDATA};
  asl_status status = decode_png(&d);
  if (status == ASL_OK && d.wide) status = narrow(&d);
  free(d.wide);
  if (status != ASL_OK) asl_picture_free(out);
  return status;
}

void asl_values_free(asl_values *values) {
  free(values->values);
  *values = (asl_values){0};
}

/* The decoded bytes, one or two a value, as numbers. */
static asl_status number(const decoder *d, asl_values *out) {
  size_t n = (size_t)out->height * (size_t)out->width * (size_t)out->channels;
  out->values = malloc(n * sizeof *out->values);
  if (!out->values) return asl_fail(ASL_ENOMEM, "no memory for %zu values", n);
  for (size_t i = 0; i < n; i++)
    out->values[i] = d->wide ? (uint16_t)(d->wide[2 * i] << 8 | d->wide[2 * i + 1])
                             : d->out->pixels[i];
  return ASL_OK;
}

asl_status asl_png_values(const uint8_t *bytes, size_t n, int channels, asl_values *out) {
  asl_picture picture = {.channels = channels};
  decoder d = {.bytes = bytes, .n = n, .to = TO_VALUES, .out = &picture, .code = ASL_EDATA};
  *out = (asl_values){0};
  asl_status status = decode_png(&d);
  if (status == ASL_OK) {
    *out = (asl_values){picture.height, picture.width, channels, d.bits, NULL};
    status = number(&d, out);
  }
  free(d.wide);
  asl_picture_free(&picture);
  if (status != ASL_OK) asl_values_free(out);
  return status;
}

typedef struct encoder {
  uint8_t *bytes;
  size_t n, room;
  char cause[256];
} encoder;

static void on_write_error(png_structp png, png_const_charp message) {
  encoder *e = png_get_error_ptr(png);
  snprintf(e->cause, sizeof e->cause, "%s", message);
  png_longjmp(png, 1);
}

static void on_write_warning(png_structp png, png_const_charp message) {
  (void)png, (void)message;
}

static void on_write(png_structp png, png_bytep from, size_t n) {
  encoder *e = png_get_io_ptr(png);
  if (n > e->room - e->n) {
    size_t room = 2 * e->room + n + 4096;
    uint8_t *bytes = realloc(e->bytes, room);
    if (!bytes) png_error(png, "no memory");
    e->bytes = bytes;
    e->room = room;
  }
  memcpy(e->bytes + e->n, from, n);
  e->n += n;
}

static void on_flush(png_structp png) { (void)png; }

/* All 256 entries, the ones without a colour black. */
static void set_palette(png_structp png, png_infop info, const uint8_t *palette, int colours) {
  png_color colour[256] = {{0, 0, 0}};
  for (int i = 0; i < colours; i++)
    colour[i] = (png_color){palette[3 * i], palette[3 * i + 1], palette[3 * i + 2]};
  png_set_PLTE(png, info, colour, 256);
}

static bool run_encoder(png_structp png, png_infop info, encoder *e, const uint8_t *pixels,
                        int height, int width, int channels, const uint8_t *palette, int colours) {
  if (setjmp(png_jmpbuf(png))) return false;
  png_set_write_fn(png, e, on_write, on_flush);
  int type = palette ? PNG_COLOR_TYPE_PALETTE
                     : (channels == 3 ? PNG_COLOR_TYPE_RGB : PNG_COLOR_TYPE_GRAY);
  png_set_IHDR(png, info, (uint32_t)width, (uint32_t)height, 8, type, PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  if (palette) set_palette(png, info, palette, colours);
  png_write_info(png, info);
  for (int y = 0; y < height; y++)
    png_write_row(png, pixels + (size_t)y * (size_t)width * (size_t)channels);
  png_write_end(png, info);
  return true;
}

static asl_status check_encoding(const uint8_t *pixels, int height, int width, int channels,
                                 const uint8_t *palette, int colours) {
  ASL_TRY(asl_picture_size_check(height, width));
  if (channels != 1 && channels != 3)
    return asl_fail(ASL_EINVAL, "%d channels; a PNG can have 1 (grey) or 3 (RGB)", channels);
  if (!palette) return ASL_OK;
  if (channels != 1) return asl_fail(ASL_EINVAL, "a palette needs a label map, not a RGB picture");
  if (colours < 1 || colours > 256)
    return asl_fail(ASL_EINVAL, "a palette of %d colours; it can have 1 to 256", colours);
  for (size_t i = 0; i < (size_t)height * (size_t)width; i++)
    if (pixels[i] >= colours && pixels[i] != ASL_IGNORE)
      return asl_fail(ASL_EINVAL, "the value %d at row %zu, column %zu has no colour (%d colours)",
                      pixels[i], i / (size_t)width + 1, i % (size_t)width + 1, colours);
  return ASL_OK;
}

asl_status asl_png_encode(const uint8_t *pixels, int height, int width, int channels,
                          const uint8_t *palette, int colours, uint8_t **bytes, size_t *n) {
  asl_status status = check_encoding(pixels, height, width, channels, palette, colours);
  if (status != ASL_OK) return asl_wrap(status, "png_encode");
  encoder e = {0};
  png_structp png =
      png_create_write_struct(PNG_LIBPNG_VER_STRING, &e, on_write_error, on_write_warning);
  png_infop info = png ? png_create_info_struct(png) : NULL;
  bool done =
      info && run_encoder(png, info, &e, pixels, height, width, channels, palette, colours);
  png_destroy_write_struct(&png, &info);
  if (!done) {
    free(e.bytes);
    return asl_fail(ASL_ENOMEM, "png_encode: %s", e.cause[0] ? e.cause : "no memory");
  }
  *bytes = e.bytes;
  *n = e.n;
  return ASL_OK;
}
