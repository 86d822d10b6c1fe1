import java.io.IOException;
import java.net.Socket;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.KeyStoreException;
import java.security.Principal;
import java.security.PrivateKey;
import java.security.cert.X509Certificate;
import java.util.Arrays;
import java.util.Collections;
import java.util.stream.Stream;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.X509ExtendedKeyManager;

/**
 * The one key of a key store, which follows the store's file.
 *
 * <p>JSSE asks for an alias, and then, by that alias, for the key and for the chain. So an alias names one version of
 * the store: no handshake gets a key of one version with the chain of the next.
 */
final class LiveKeys extends X509ExtendedKeyManager {
    private record Version(String alias, PrivateKey key, X509Certificate[] chain) {}

    private final LiveStore<Version> store;
    private volatile Version newest;
    private volatile Version before;

    LiveKeys(Path folder) throws IOException, GeneralSecurityException {
        store = new LiveStore<>(folder, "keystore.p12", LiveKeys::read);
        newest = before = store.now();
    }

    private static Version read(KeyStore store, char[] password) throws GeneralSecurityException {
        for (String alias : Collections.list(store.aliases())) {
            if (store.isKeyEntry(alias)) {
                X509Certificate[] chain = Arrays.stream(store.getCertificateChain(alias))
                    .map(X509Certificate.class::cast).toArray(X509Certificate[]::new);
                PrivateKey key = (PrivateKey) store.getKey(alias, password);
                return new Version(chain[0].getSerialNumber().toString(), key, chain);
            }
        }
        throw new KeyStoreException("there is no private key in it");
    }

    /** The alias of the newest version, if its key is of one of the kinds that the other side can check. */
    private synchronized String choose(String... kinds) {
        Version now = store.now();
        if (now != newest) {
            before = newest;
            newest = now;
        }
        return Arrays.asList(kinds).contains(now.key.getAlgorithm()) ? now.alias : null;
    }

    private Version of(String alias) {
        return Stream.of(newest, before).filter(each -> each.alias.equals(alias)).findFirst().orElse(null);
    }

    @Override
    public PrivateKey getPrivateKey(String alias) {
        Version found = of(alias);
        return found == null ? null : found.key;
    }

    @Override
    public X509Certificate[] getCertificateChain(String alias) {
        Version found = of(alias);
        return found == null ? null : found.chain;
    }

    @Override
    public String chooseServerAlias(String kind, Principal[] issuers, Socket socket) {
        return choose(kind);
    }

    @Override
    public String chooseEngineServerAlias(String kind, Principal[] issuers, SSLEngine engine) {
        return choose(kind);
    }

    @Override
    public String chooseClientAlias(String[] kinds, Principal[] issuers, Socket socket) {
        return choose(kinds);
    }

    @Override
    public String chooseEngineClientAlias(String[] kinds, Principal[] issuers, SSLEngine engine) {
        return choose(kinds);
    }

    @Override
    public String[] getServerAliases(String kind, Principal[] issuers) {
        return null;
    }

    @Override
    public String[] getClientAliases(String kind, Principal[] issuers) {
        return null;
    }
}
