import java.io.IOException;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import javax.net.ssl.KeyManager;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManager;

/** A context for as long as the program runs; its managers follow their files. */
final class Tls {
    private Tls() {}

    static SSLContext context(Path folder, boolean hasKey, boolean hasTrust)
            throws IOException, GeneralSecurityException {
        // An empty array, not null: null stands for Java's defaults, such as the public roots.
        KeyManager[] keys = hasKey ? new KeyManager[] {new LiveKeys(folder)} : new KeyManager[0];
        TrustManager[] trust = hasTrust ? new TrustManager[] {new LiveTrust(folder)} : new TrustManager[0];
        SSLContext context = SSLContext.getInstance("TLSv1.3");
        context.init(keys, trust, null);
        // A session that is taken up again goes by the certificates of before. A client keeps none longer than a second. A
        // server offers none: TLS 1.3 has no tickets for more than a week (RFC 8446 section 4.6.1), so Java gives none.
        context.getClientSessionContext().setSessionTimeout(1);
        context.getServerSessionContext().setSessionTimeout(8 * 24 * 3600);
        return context;
    }
}
