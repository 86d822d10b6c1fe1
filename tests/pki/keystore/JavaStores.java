import java.io.*;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import java.security.*;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.*;
import javax.crypto.*;
import javax.crypto.spec.*;

/**
 * What the tests ask of Java's own key stores. Texts come and go as UTF-8 in hexadecimal, so that no locale touches
 * them; a password that is "-" is none.
 */
public class JavaStores {
    static final HexFormat HEX = HexFormat.of();

    public static void main(String[] given) throws Exception {
        var rest = Arrays.copyOfRange(given, 1, given.length);
        switch (given[0]) {
            case "dump" -> dump(rest);
            case "make" -> make(rest);
            case "lock" -> lock(rest);
            default -> throw new IllegalArgumentException(given[0]);
        }
    }

    /** TYPE FILE PASSWORD [ALIAS PASSWORD]...: a line per entry with alias, kind, date, algorithm, key, certificates. */
    static void dump(String[] given) throws Exception {
        var store = KeyStore.getInstance(given[0]);
        try (var in = new FileInputStream(given[1])) {
            store.load(in, letters(given[2]));
        }
        for (var alias : Collections.list(store.aliases())) {
            var password = letters(given[2]);
            for (int i = 3; i < given.length; i += 2) {
                password = alias.equals(text(given[i])) ? letters(given[i + 1]) : password;
            }
            var line = new ArrayList<>(List.of(HEX.formatHex(alias.getBytes(StandardCharsets.UTF_8)), "trusted"));
            line.add(String.valueOf(store.getCreationDate(alias).getTime()));
            Certificate[] chain = {store.getCertificate(alias)};
            String algorithm = "", encoded = "";
            if (store.isKeyEntry(alias)) {
                var key = store.getKey(alias, password);
                chain = store.getCertificateChain(alias);
                line.set(1, chain == null ? "secret" : "key");
                algorithm = key.getAlgorithm();
                encoded = HEX.formatHex(key.getEncoded());
            }
            line.addAll(List.of(algorithm, encoded));
            for (var each : chain == null ? new Certificate[0] : chain) {
                line.add(HEX.formatHex(MessageDigest.getInstance("SHA-256").digest(each.getEncoded())));
            }
            System.out.println(String.join("\t", line));
        }
    }

    /** TYPE FILE PASSWORD ALIAS KEY-PASSWORD KEY-ALGORITHM KEY-FILE CERTIFICATES-FILE: a store with one key. */
    static void make(String[] given) throws Exception {
        var store = KeyStore.getInstance(given[0]);
        store.load(null, null);
        var spec = new PKCS8EncodedKeySpec(Files.readAllBytes(Path.of(given[6])));
        var key = KeyFactory.getInstance(given[5]).generatePrivate(spec);
        try (var in = new FileInputStream(given[7])) {
            var chain = CertificateFactory.getInstance("X.509").generateCertificates(in).toArray(new Certificate[0]);
            store.setKeyEntry(text(given[3]), key, letters(given[4]), chain);
        }
        try (var out = new FileOutputStream(given[1])) {
            store.store(out, letters(given[2]));
        }
    }

    /** PASSWORD SALT ROUNDS CONTENT: the content, hidden by PBEWithMD5AndTripleDES. */
    static void lock(String[] given) throws Exception {
        var name = "PBEWithMD5AndTripleDES";
        var key = SecretKeyFactory.getInstance(name).generateSecret(new PBEKeySpec(letters(given[0])));
        var cipher = Cipher.getInstance(name);
        var parameters = new PBEParameterSpec(HEX.parseHex(given[1]), Integer.parseInt(given[2]));
        cipher.init(Cipher.ENCRYPT_MODE, key, parameters);
        System.out.println(HEX.formatHex(cipher.doFinal(HEX.parseHex(given[3]))));
    }

    static String text(String hex) {
        return new String(HEX.parseHex(hex), StandardCharsets.UTF_8);
    }

    static char[] letters(String hex) {
        return hex.equals("-") ? null : text(hex).toCharArray();
    }
}
