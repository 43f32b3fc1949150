# cmake -DPAGE=<folder> -DOUT=<file.cc> -P embed_page.cmake
# Writes the files of the page as arrays of bytes: no literal is too long for a compiler, and not one
# byte changes (the page's security policy names the digests of its style and script).
set(text "// Generated from reports/page.\n#include \"harness/report/html.h\"\n\n")
string(APPEND text "namespace counterpart::report::page {\n")
set(files "")
file(GLOB names RELATIVE ${PAGE} ${PAGE}/*.html ${PAGE}/*.css ${PAGE}/script/*.js)
foreach(name IN LISTS names)
  file(READ ${PAGE}/${name} hex HEX)
  string(LENGTH "${hex}" digits)
  math(EXPR size "${digits} / 2")
  string(REGEX REPLACE "(..)" "'\\\\x\\1'," bytes "${hex}")
  string(MAKE_C_IDENTIFIER "${name}" identifier)
  string(APPEND text "static constexpr char ${identifier}[] = {${bytes}};\n")
  string(APPEND files "    {\"${name}\", {${identifier}, ${size}}},\n")
endforeach()
string(APPEND text "const std::map<std::string_view, std::string_view> kFiles = {\n${files}};\n")
string(APPEND text "}  // namespace counterpart::report::page\n")
file(WRITE ${OUT} "${text}")
