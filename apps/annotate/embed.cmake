# cmake -DOUT=assets.cpp -DFOLDER=page -P embed.cmake: the folder's files as constants of a C++ file (assets.h).
file(GLOB_RECURSE files RELATIVE ${FOLDER} ${FOLDER}/*)
list(SORT files)
set(arrays "")
set(entries "")
set(index 0)
foreach(name ${files})
  file(READ ${FOLDER}/${name} hex HEX)
  string(REGEX REPLACE "(..)" "0x\\1," bytes "${hex}")
  string(APPEND arrays "const unsigned char file${index}[] = {${bytes}0};\n")
  string(APPEND entries "    {\"${name}\", {reinterpret_cast<const char*>(file${index}), sizeof file${index} - 1}},\n")
  math(EXPR index "${index} + 1")
endforeach()
if(index EQUAL 0)
  message(FATAL_ERROR "${FOLDER}: no files to embed")
endif()
file(WRITE ${OUT} "#include \"apps/annotate/assets.h\"

namespace bp::annotate {
namespace {

${arrays}
const Asset files[] = {
${entries}};

}  // namespace

std::span<const Asset> assets() {
  return files;
}

}  // namespace bp::annotate
")
