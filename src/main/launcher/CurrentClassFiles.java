import java.io.BufferedOutputStream;
import java.io.File;
import java.io.IOException;
import java.lang.classfile.ClassElement;
import java.lang.classfile.ClassFile;
import java.lang.classfile.ClassFileVersion;
import java.lang.classfile.ClassHierarchyResolver;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Enumeration;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;
import java.util.zip.ZipOutputStream;

/// Brings class files older than Java 6 up to date, which the JVM otherwise leaves out of its cache
/// of classes, reads anew at every start and checks by its old, slow verifier: nothing of what they
/// do is changed, they get the stack maps by which they are checked quickly.
///
///     java CurrentClassFiles.java CLASSPATH FOLDER FINAL
///
/// Writes jars of CLASSPATH that the command line uses and that hold such files into FOLDER, and
/// prints the class path with these in place of the others, as if FOLDER were FINAL. The originals
/// stay as they are.
public final class CurrentClassFiles {
  /// Java 6: the first with stack maps.
  private static final int FIRST_WITH_STACK_MAPS = 50;

  /// Java 8's, which needs nothing else of a class.
  private static final int WANTED = 52;

  private static final String CLASS = ".class";

  private CurrentClassFiles() {}

  public static void main(String[] arguments) throws IOException {
    var paths = new ArrayList<String>();
    for (String path : arguments[0].split(File.pathSeparator)) {
      Path jar = Path.of(path);
      boolean replaced =
          path.endsWith(".jar") && update(jar, Path.of(arguments[1]).resolve(jar.getFileName()));
      paths.add(replaced ? Path.of(arguments[2]).resolve(jar.getFileName()).toString() : path);
    }
    System.out.println(String.join(File.pathSeparator, paths));
  }

  /// Writes `to` and returns true if `from` holds an old class file and no signature.
  private static boolean update(Path from, Path to) throws IOException {
    try (ZipFile jar = new ZipFile(from.toFile())) {
      boolean any = false;
      for (ZipEntry entry : (Iterable<ZipEntry>) () -> entries(jar)) {
        if (entry.getName().matches("META-INF/[^/]*\\.(SF|RSA|DSA|EC)")) {
          return false;
        }
        any = any || isClass(entry) && isOld(bytes(jar, entry));
      }
      if (any) {
        rewrite(from, jar, to);
      }
      return any;
    }
  }

  private static void rewrite(Path from, ZipFile jar, Path to) throws IOException {
    URL[] classes = {from.toUri().toURL()};
    try (var out = new ZipOutputStream(new BufferedOutputStream(Files.newOutputStream(to)));
        var loader = new URLClassLoader(classes)) {
      var resolver = ClassHierarchyResolver.ofResourceParsing(loader);
      ClassFile files =
          ClassFile.of(
              ClassFile.StackMapsOption.GENERATE_STACK_MAPS,
              ClassFile.ClassHierarchyResolverOption.of(resolver));
      for (ZipEntry entry : (Iterable<ZipEntry>) () -> entries(jar)) {
        byte[] bytes = bytes(jar, entry);
        var copy = new ZipEntry(entry.getName());
        copy.setTime(entry.getTime());
        out.putNextEntry(copy);
        out.write(isClass(entry) && isOld(bytes) ? updated(files, bytes) : bytes);
        out.closeEntry();
      }
    }
  }

  private static byte[] updated(ClassFile files, byte[] bytes) {
    var old = files.parse(bytes);
    return files.build(
        old.thisClass().asSymbol(),
        made -> {
          for (ClassElement element : old) {
            if (!(element instanceof ClassFileVersion)) {
              made.with(element);
            }
          }
          made.withVersion(WANTED, 0);
        });
  }

  private static java.util.Iterator<ZipEntry> entries(ZipFile jar) {
    Enumeration<? extends ZipEntry> entries = jar.entries();
    return new java.util.Iterator<>() {
      @Override
      public boolean hasNext() {
        return entries.hasMoreElements();
      }

      @Override
      public ZipEntry next() {
        return entries.nextElement();
      }
    };
  }

  private static byte[] bytes(ZipFile jar, ZipEntry entry) throws IOException {
    try (var in = jar.getInputStream(entry)) {
      return in.readAllBytes();
    }
  }

  private static boolean isClass(ZipEntry entry) {
    return entry.getName().endsWith(CLASS) && !entry.getName().startsWith("META-INF/");
  }

  private static boolean isOld(byte[] bytes) {
    return ((bytes[6] & 0xff) << 8 | bytes[7] & 0xff) < FIRST_WITH_STACK_MAPS;
  }
}
