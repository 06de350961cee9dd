/// An application that embeds Remask as a module. On the class path this file is left out.
module com.example.embed {
  requires dev.remask;
}
