// The few lines of a test framework that these tests need.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <string>

inline int& failures() {
  static int count = 0;
  return count;
}

#define EXPECT(condition, ...)                                                         \
  do {                                                                                 \
    if (!(condition)) {                                                                \
      std::ostringstream said;                                                         \
      said << __VA_ARGS__;                                                             \
      std::fprintf(stderr, "%s:%d: expected %s; %s\n", __FILE__, __LINE__, #condition, \
                   said.str().c_str());                                                \
      if (++failures() > 20) std::exit(1);                                             \
    }                                                                                  \
  } while (false)

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}
