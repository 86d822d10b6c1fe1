import java.io.IOException;
import java.io.InputStream;
import java.net.InetAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.security.cert.CertificateException;
import java.security.cert.CertificateParsingException;
import java.security.cert.X509Certificate;
import java.util.Arrays;
import java.util.List;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLServerSocket;
import javax.net.ssl.SSLSocket;

/** Says hello to the name in the client's certificate: java Server PORT FOLDER [--one-way] */
final class Server {
    private static final int DNS = 2; // of a GeneralName, RFC 5280 section 4.2.1.6

    public static void main(String[] arguments) throws Exception {
        boolean twoWay = !Arrays.asList(arguments).contains("--one-way");
        SSLServerSocket listening = (SSLServerSocket) Tls.context(Path.of(arguments[1]), true, twoWay)
            .getServerSocketFactory()
            .createServerSocket(Integer.parseInt(arguments[0]), 50, InetAddress.getByName("127.0.0.1"));
        SSLParameters parameters = new SSLParameters();
        parameters.setProtocols(new String[] {"TLSv1.3"});
        parameters.setNeedClientAuth(twoWay); // "want" would let those through that show none
        listening.setSSLParameters(parameters);
        while (true) {
            SSLSocket socket = (SSLSocket) listening.accept();
            new Thread(() -> answer(socket, twoWay)).start(); // and there the handshake: nobody waits for a slow one
        }
    }

    private static void answer(SSLSocket socket, boolean twoWay) {
        try (socket) {
            socket.setSoTimeout(10_000);
            readLine(socket.getInputStream());
            String answer = "hello " + (twoWay ? nameOf(socket) : "nobody") + "\n";
            socket.getOutputStream().write(answer.getBytes(StandardCharsets.UTF_8));
        } catch (IOException | CertificateException error) {
            System.err.println("refused: " + error.getMessage());
        }
    }

    private static void readLine(InputStream input) throws IOException {
        for (int read = 0; read < 1000; read++) {
            int octet = input.read();
            if (octet == '\n') {
                return;
            }
            if (octet < 0) {
                break;
            }
        }
        throw new IOException("that was no line");
    }

    private static String nameOf(SSLSocket socket) throws IOException, CertificateParsingException {
        X509Certificate leaf = (X509Certificate) socket.getSession().getPeerCertificates()[0];
        if (leaf.getSubjectAlternativeNames() != null) {
            for (List<?> name : leaf.getSubjectAlternativeNames()) {
                if (name.get(0).equals(DNS)) {
                    return (String) name.get(1);
                }
            }
        }
        return "nobody";
    }
}
