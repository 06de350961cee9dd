package dev.remask.text;

/// A token of tokenizer.json that stands beside the trained vocabulary.
///
/// @param literal its text
/// @param id its id
/// @param control whether it is a special token: never read from plain text, left out of decoded
///   text
/// @param stripLeft whether it swallows the white space before it
/// @param stripRight whether it swallows the white space behind it
/// @param singleWord whether it is found only where no letter or digit touches it
record AddedToken(
    String literal,
    int id,
    boolean control,
    boolean stripLeft,
    boolean stripRight,
    boolean singleWord) {}
