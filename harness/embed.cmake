# counterpart_embed(OUT HEADER SIGNATURE TYPE NAMESPACE FILE…): writes a C++ source that defines
# SIGNATURE in counterpart::NAMESPACE, returning every file as a TYPE{path, text}. Paths are relative
# to the project's root. Regenerated when a file changes.
function(counterpart_embed out header signature type namespace)
  set(body)
  foreach(file IN LISTS ARGN)
    file(READ ${PROJECT_SOURCE_DIR}/${file} text)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${file})
    # A raw string literal may be cut anywhere: compilers bound its length.
    string(LENGTH "${text}" length)
    string(APPEND body "      {\"${file}\",\n       R\"spec(${text})spec\"},\n")
  endforeach()
  file(GENERATE OUTPUT ${out} CONTENT
"#include \"${header}\"

namespace counterpart::${namespace} {

${signature} {
  static const auto* files = new std::vector<${type}>{
${body}  };
  return *files;
}

}  // namespace counterpart::${namespace}
")
endfunction()
