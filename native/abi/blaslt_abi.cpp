// Prints the table's cuBLASLt section from the Java sources of org.bytedeco:cuda, which JavaCPP
// generates from cublasLt.h. Usage: blaslt_abi <folder with the unpacked sources>
//
// JavaCPP writes `@Cast("size_t") long` for a size_t and a class for a pointer, so that types and
// values can be read off; only the lengths of arrays in structs are lost (kArrayLengths).
#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "cuda_errors.h"
#include "names.h"

namespace {

// Of cublasLt.h: `uint64_t data[8]` and `int reserved[4]`, the same from 10.1 to 13.
const std::map<std::string, int> kArrayLengths = {{"data", 8}, {"reserved", 4}};

struct Layout {
  std::string type;
  std::size_t size, alignment;
};

std::string folder;
std::string global;  // org/bytedeco/cuda/global/cublas.java
std::map<std::string, Layout> structs;

std::string read(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot read " + path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

// Position of `word` as a whole word, followed by `next`, on a line that is no comment's.
std::size_t find_word(const std::string& word, const std::string& next) {
  for (std::size_t at = global.find(word + next); at != std::string::npos;
       at = global.find(word + next, at + 1)) {
    const std::size_t line = global.find_first_not_of(' ', global.rfind('\n', at) + 1);
    if (!is_word(global[at - 1]) && global[line] != '*' && global[line] != '/') return at;
  }
  throw std::runtime_error("no " + word + next + " in the sources");
}

// The words of a declaration without its annotations, `@Cast("size_t")` and their kin.
std::vector<std::string> words_of(const std::string& declaration) {
  std::vector<std::string> words;
  for (std::size_t i = 0; i < declaration.size();) {
    if (declaration[i] == '@') {
      while (++i < declaration.size() && is_word(declaration[i])) {
      }
      if (i < declaration.size() && declaration[i] == '(') i = declaration.find(')', i) + 1;
    } else if (is_word(declaration[i]) || declaration[i] == '[') {
      std::string word;
      while (i < declaration.size() &&
             (is_word(declaration[i]) || declaration[i] == '[' || declaration[i] == ']')) {
        word += declaration[i++];
      }
      words.push_back(word);
    } else {
      ++i;
    }
  }
  return words;
}

Layout scalar(const std::string& java) {
  if (java == "int") return {"i32", 4, 4};
  if (java == "long") return {"i64", 8, 8};
  if (java == "float") return {"f32", 4, 4};
  if (java == "double") return {"f64", 8, 8};
  if (java == "short") return {"i16", 2, 2};
  if (java == "byte" || java == "boolean") return {"i8", 1, 1};
  return {"pointer", 8, 8};
}

void function(const std::string& name) {
  const std::size_t at = find_word(name, "(");
  const std::size_t begin = global.rfind('\n', at) + 1;
  const std::size_t end = global.find(';', at);
  const std::vector<std::string> before = words_of(global.substr(begin, at - begin));
  // public static native <type>
  if (before.size() != 4 || before[2] != "native") throw std::runtime_error("no function: " + name);
  std::string list;
  const std::size_t open = at + name.size();
  std::istringstream parameters(global.substr(open + 1, global.rfind(')', end) - open - 1));
  for (std::string parameter; std::getline(parameters, parameter, ',');) {
    if (parameter.find("@ByVal") != std::string::npos)
      throw std::runtime_error("by value: " + name);
    const std::vector<std::string> words = words_of(parameter);
    if (words.size() != 2) throw std::runtime_error("parameter of " + name + ": " + parameter);
    list += (list.empty() ? "" : ", ") + scalar(words[0]).type;
  }
  std::printf("function %s %s(%s)\n", name.c_str(), scalar(before[3]).type.c_str(), list.c_str());
}

long long constant_value(const std::string& name) {
  const std::size_t at = find_word(name, " =") + name.size() + 2;
  std::string value = global.substr(at, global.find_first_of(",;", at) - at);
  value = words_of(value).at(0);
  return std::isdigit(static_cast<unsigned char>(value[0])) ? std::stoll(value, nullptr, 0)
                                                            : constant_value(value);
}

void constant(const std::string& name) {
  std::printf("enum %s %lld\n", name.c_str(), constant_value(name));
}

struct Field {
  std::string name, type;
  std::size_t offset, size;
};

// Lays a struct out by C's rules; remembers it for structs that contain it.
std::vector<Field> fields_of(const std::string& name) {
  const std::string text = read(folder + "/org/bytedeco/cuda/cublas/" + name + ".java");
  std::vector<Field> fields;
  std::size_t offset = 0, alignment = 1;
  const std::string getter = "\n  public native ";
  for (std::size_t at = text.find(getter); at != std::string::npos;
       at = text.find(getter, at + 1)) {
    std::size_t begin = at + getter.size();
    std::size_t open = begin;  // of the parameter list, behind the annotation's
    if (text[begin] == '@') open = text.find(')', begin) + 1;
    if (text.compare(begin, 6, "@ByRef") == 0) open = begin;
    open = text.find('(', open);
    const std::vector<std::string> words = words_of(text.substr(begin, open - begin));
    const bool array = text[open + 1] != ')';
    Layout layout = structs.count(words[0]) != 0 ? structs[words[0]] : scalar(words[0]);
    offset = (offset + layout.alignment - 1) / layout.alignment * layout.alignment;
    alignment = std::max(alignment, layout.alignment);
    if (array) {
      const int length = kArrayLengths.at(words[1]);
      layout.type += "[" + std::to_string(length) + "]";
      layout.size *= static_cast<std::size_t>(length);
    }
    fields.push_back({words[1], layout.type, offset, layout.size});
    offset += layout.size;
  }
  const std::size_t size = (offset + alignment - 1) / alignment * alignment;
  structs[name] = {"struct:" + std::to_string(size) + ":" + std::to_string(alignment), size,
                   alignment};
  return fields;
}

void structure(const std::string& name) {
  fields_of(name);
  std::printf("struct %s size %zu align %zu\n", name.c_str(), structs[name].size,
              structs[name].alignment);
}

void field(const std::string& structure, const std::string& name) {
  for (const Field& field : fields_of(structure)) {
    if (field.name != name) continue;
    std::printf("field %s.%s offset %zu size %zu type %s\n", structure.c_str(), name.c_str(),
                field.offset, field.size, field.type.c_str());
    return;
  }
  throw std::runtime_error(structure + " has no field " + name);
}

}  // namespace

#define REMASK_PRINT_FUNCTION(name) function(#name);
#define REMASK_PRINT_STRUCT(name) structure(#name);
#define REMASK_PRINT_FIELD(structure, name) field(#structure, #name);
#define REMASK_PRINT_STATUS(name, value) constant("CUBLAS_STATUS_" #name);
#define REMASK_PRINT_CONSTANT(name) constant(#name);

int main(int argc, char** argv) {
  try {
    if (argc != 2) throw std::runtime_error("usage: blaslt_abi <unpacked sources>");
    folder = argv[1];
    global = read(folder + "/org/bytedeco/cuda/global/cublas.java");
    REMASK_BLASLT_FUNCTIONS(REMASK_PRINT_FUNCTION)
    REMASK_BLASLT_STRUCTS(REMASK_PRINT_STRUCT)
    REMASK_BLASLT_FIELDS(REMASK_PRINT_FIELD)
    REMASK_CUBLAS_STATUSES(REMASK_PRINT_STATUS)
    REMASK_BLASLT_CONSTANTS(REMASK_PRINT_CONSTANT)
    return 0;
  } catch (const std::exception& failure) {
    std::cerr << failure.what() << "\n";
    return 1;
  }
}
