# cmake -DPAGE=<folder> -DOUT=<file.cc> -P embed_page.cmake
# Writes the three files of the page as arrays of bytes: no literal is too long for a compiler, and
# not one byte changes (the page's security policy names the digests of its style and script).
set(text "// Generated from reports/page.\n#include \"harness/report/html.h\"\n\n")
string(APPEND text "namespace counterpart::report::page {\n")
set(views "")
foreach(pair IN ITEMS "kTemplate;page.html" "kStyle;page.css" "kScript;page.js")
  list(GET pair 0 name)
  list(GET pair 1 file)
  file(READ ${PAGE}/${file} hex HEX)
  string(LENGTH "${hex}" digits)
  math(EXPR size "${digits} / 2")
  string(REGEX REPLACE "(..)" "'\\\\x\\1'," bytes "${hex}")
  string(APPEND text "static constexpr char ${name}Bytes[] = {${bytes}};\n")
  string(APPEND views "const std::string_view ${name}(${name}Bytes, ${size});\n")
endforeach()
string(APPEND text "${views}}  // namespace counterpart::report::page\n")
file(WRITE ${OUT} "${text}")
