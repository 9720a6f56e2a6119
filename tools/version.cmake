# Writes version.h for csrc/lua/lua_system.c, at every build but only when it changes:
#   cmake -DOUT=... -DSOURCE=... -DVERSION=... ... -P version.cmake
set(COMMIT "unknown")
find_program(GIT git)
if(GIT AND EXISTS ${SOURCE}/.git)
  execute_process(COMMAND ${GIT} -C ${SOURCE} describe --always --dirty --abbrev=12 --exclude=*
                  OUTPUT_VARIABLE DESCRIBED OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  if(DESCRIBED)
    set(COMMIT ${DESCRIBED})
  endif()
endif()

set(TEXT "/* Written by tools/version.cmake. */\n#define ASL_COMMIT \"${COMMIT}\"\n")
foreach(NAME VERSION BUILD_TYPE COMPILER CUDA_STATE JANSSON_VERSION OPENSSL_VERSION EDIT_VERSION
             JPEG_VERSION PNG_VERSION ZLIB_VERSION)
  string(APPEND TEXT "#define ASL_${NAME} \"${${NAME}}\"\n")
endforeach()

if(EXISTS ${OUT})
  file(READ ${OUT} OLD)
endif()
if(NOT "${OLD}" STREQUAL "${TEXT}")
  file(WRITE ${OUT} "${TEXT}")
endif()
