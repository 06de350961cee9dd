// mutate CATALOGUE list                 names of all mutations
//   mutate CATALOGUE check KERNELS        does every text stand exactly once in its kernel?
//   mutate CATALOGUE apply NAME KERNELS   makes the change in the folder KERNELS
//   mutate CATALOGUE show NAME FIELD      file, proof or why
//
// A mutation is a seeded bug: a small change of a real kernel that a proof must notice. The
// catalogue has them as blocks:
//
//   ## name
//   file: attention_sm80.cu
//   proof: attention_proof --kernel sm80
//   why: one line on what the bug is
//   -text that stands once in the file, a '-' before each line
//   +what replaces it, a '+' before each line; none: the text is removed
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace {

struct Mutation {
  std::string name, file, proof, why, before, after;
};

[[noreturn]] void fail(const std::string& text) {
  std::fprintf(stderr, "mutate: %s\n", text.c_str());
  std::exit(1);
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) fail(path + " cannot be read");
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::vector<Mutation> read_catalogue(const std::string& path) {
  std::vector<Mutation> all;
  std::stringstream lines(read_file(path));
  int number = 0;
  for (std::string line; std::getline(lines, line);) {
    number++;
    if (line.empty() || line[0] == '#') {
      if (line.rfind("## ", 0) == 0) {
        all.emplace_back();
        all.back().name = line.substr(3);
      }
      continue;
    }
    if (all.empty())
      fail(path + ":" + std::to_string(number) + ": text before the first '## name'");
    Mutation& last = all.back();
    if (line[0] == '-' || line[0] == '+') {
      (line[0] == '-' ? last.before : last.after) += line.substr(1) + "\n";
      continue;
    }
    const std::size_t colon = line.find(": ");
    const std::string key = line.substr(0, colon);
    std::string* field = key == "file"    ? &last.file
                         : key == "proof" ? &last.proof
                         : key == "why"   ? &last.why
                                          : nullptr;
    if (colon == std::string::npos || field == nullptr) {
      fail(path + ":" + std::to_string(number) + ": neither a field nor -text nor +text: " + line);
    }
    *field = line.substr(colon + 2);
  }
  return all;
}

// Where the mutation's text stands in its kernel; it must do so once.
std::size_t find_once(const Mutation& mutation, const std::string& text) {
  if (mutation.before.empty()) fail(mutation.name + ": changes nothing");
  const std::size_t at = text.find(mutation.before);
  if (at == std::string::npos) {
    fail(mutation.name + ": " + mutation.file + " does not contain\n" + mutation.before);
  }
  if (text.find(mutation.before, at + 1) != std::string::npos) {
    fail(mutation.name + ": " + mutation.file + " contains more than once\n" + mutation.before);
  }
  return at;
}

const Mutation& named(const std::vector<Mutation>& all, const std::string& name) {
  for (const Mutation& mutation : all) {
    if (mutation.name == name) return mutation;
  }
  fail("there is no mutation " + name);
}

}  // namespace

int main(int count, char** arguments) {
  const std::vector<std::string> words(arguments + 1, arguments + count);
  if (words.size() < 2) fail("usage: mutate CATALOGUE list|check|apply|show ...");
  const std::vector<Mutation> all = read_catalogue(words[0]);
  if (words[1] == "list" && words.size() == 2) {
    for (const Mutation& mutation : all) std::printf("%s\n", mutation.name.c_str());
  } else if (words[1] == "check" && words.size() == 3) {
    for (const Mutation& mutation : all) {
      if (mutation.file.empty() || mutation.proof.empty() || mutation.why.empty()) {
        fail(mutation.name + ": file, proof and why are needed");
      }
      find_once(mutation, read_file(words[2] + "/" + mutation.file));
    }
    std::printf("%zu mutations apply\n", all.size());
  } else if (words[1] == "apply" && words.size() == 4) {
    const Mutation& mutation = named(all, words[2]);
    const std::string path = words[3] + "/" + mutation.file;
    std::string text = read_file(path);
    text.replace(find_once(mutation, text), mutation.before.size(), mutation.after);
    std::ofstream file(path, std::ios::binary);
    file << text;
    if (!file.flush()) fail(path + " cannot be written");
  } else if (words[1] == "show" && words.size() == 4) {
    const Mutation& mutation = named(all, words[2]);
    const std::string& field = words[3];
    std::printf("%s\n", field == "file"    ? mutation.file.c_str()
                        : field == "proof" ? mutation.proof.c_str()
                                           : mutation.why.c_str());
  } else {
    fail("usage: mutate CATALOGUE list|check KERNELS|apply NAME KERNELS|show NAME FIELD");
  }
  return 0;
}
