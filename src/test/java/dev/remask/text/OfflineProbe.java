package dev.remask.text;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.Proxy;
import java.net.ProxySelector;
import java.net.Socket;
import java.net.SocketAddress;
import java.net.URI;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/// A process of its own that uses the codec and prints every connection that was tried.
///
/// Java asks the proxy selector before any connection by URL or socket, so that is where they are
/// seen. The probe first makes one itself, to show that it would see others.
public final class OfflineProbe {
  static final String CONTROL = "socket://192.0.2.1:9";

  private OfflineProbe() {}

  /// Arguments: the model folder; anything more: with the codec in a class loader of its own.
  public static void main(String[] arguments) throws Exception {
    List<URI> seen = new ArrayList<>();
    ProxySelector.setDefault(
        new ProxySelector() {
          @Override
          public synchronized List<Proxy> select(URI uri) {
            seen.add(uri);
            throw new IllegalArgumentException("no network in this test: " + uri);
          }

          @Override
          public void connectFailed(URI uri, SocketAddress address, IOException failure) {}
        });
    try (Socket socket = new Socket()) {
      socket.connect(new InetSocketAddress("192.0.2.1", 9), 1);
    } catch (IOException | IllegalArgumentException e) {
      System.out.println("control: " + e.getMessage());
    }
    Class<?> user = OfflineProbe.class;
    if (arguments.length > 1) {
      user = new OwnLoader().loadClass(OfflineProbe.class.getName());
    }
    user.getMethod("use", Path.class).invoke(null, Path.of(arguments[0]));
    System.out.println("connections: " + seen);
  }

  /// Uses the codec of this class's loader.
  public static void use(Path model) {
    try (TextCodec codec = TextCodec.open(model).orElseThrow()) {
      int[] ids = codec.encodeChat(List.of(new Message("user", "What is 47 + 38?")));
      System.out.println("tokens: " + ids.length + " " + codec.decode(ids).length());
    }
  }

  /// Loads this package itself and leaves the libraries to the class path: as a server does whose
  /// applications share libraries.
  private static final class OwnLoader extends ClassLoader {
    @Override
    protected Class<?> loadClass(String name, boolean resolve) throws ClassNotFoundException {
      synchronized (getClassLoadingLock(name)) {
        if (!name.startsWith("dev.remask.text.")) {
          return super.loadClass(name, resolve);
        }
        Class<?> known = findLoadedClass(name);
        return known != null ? known : define(name);
      }
    }

    private Class<?> define(String name) throws ClassNotFoundException {
      try (var in = getResourceAsStream(name.replace('.', '/') + ".class")) {
        byte[] bytes = in.readAllBytes();
        return defineClass(name, bytes, 0, bytes.length);
      } catch (IOException e) {
        throw new ClassNotFoundException(name, e);
      }
    }
  }
}
