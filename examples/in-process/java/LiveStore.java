import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.util.List;

/** What is made of a PKCS12 store; made anew when the store's file has changed. */
final class LiveStore<T> {
    interface Maker<T> {
        T make(KeyStore store, char[] password) throws GeneralSecurityException;
    }

    private final Path file;
    private final Path passwordFile;
    private final Maker<T> maker;
    private Object stamp;
    private T made;

    /** Reads it once: what is wrong with the store is said here, and not to the first client. */
    LiveStore(Path folder, String name, Maker<T> maker) throws IOException, GeneralSecurityException {
        this.file = folder.resolve(name);
        this.passwordFile = folder.resolve("password");
        this.maker = maker;
        this.stamp = look();
        this.made = read();
    }

    /** As it is now. A store that cannot be used is said on standard error, and the last good one stays. */
    synchronized T now() {
        try {
            Object found = look();
            if (!found.equals(stamp)) {
                stamp = found;
                made = read();
            }
        } catch (IOException | GeneralSecurityException | RuntimeException error) {
            System.err.println(file + " stays as it was: " + error.getMessage());
        }
        return made;
    }

    private T read() throws IOException, GeneralSecurityException {
        char[] password = Files.readString(passwordFile).strip().toCharArray();
        KeyStore store = KeyStore.getInstance("PKCS12");
        store.load(new ByteArrayInputStream(Files.readAllBytes(file)), password);
        return maker.make(store, password);
    }

    private Object look() throws IOException {
        BasicFileAttributes found = Files.readAttributes(file, BasicFileAttributes.class);
        return List.of(String.valueOf(found.fileKey()), found.size(), found.lastModifiedTime());
    }
}
