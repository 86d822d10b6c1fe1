import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.SSLSocketFactory;

/** Prints what the server answers: java Client PORT FOLDER [--one-way] [--loop] */
final class Client {
    public static void main(String[] arguments) throws Exception {
        List<String> more = Arrays.asList(arguments);
        SSLSocketFactory factory =
            Tls.context(Path.of(arguments[1]), !more.contains("--one-way"), true).getSocketFactory();
        try {
            ask(factory, Integer.parseInt(arguments[0]));
            while (more.contains("--loop")) {
                Thread.sleep(50);
                ask(factory, Integer.parseInt(arguments[0]));
            }
        } catch (IOException error) {
            System.err.println("refused: " + error.getMessage());
            System.exit(1);
        }
    }

    private static void ask(SSLSocketFactory factory, int port) throws IOException {
        SSLParameters parameters = new SSLParameters();
        parameters.setProtocols(new String[] {"TLSv1.3"});
        parameters.setEndpointIdentificationAlgorithm("HTTPS"); // without it any name will do
        try (Socket plain = new Socket()) {
            plain.connect(new InetSocketAddress("localhost", port), 10_000);
            // With the name: it is what the server's certificate must be for.
            try (SSLSocket socket = (SSLSocket) factory.createSocket(plain, "localhost", port, true)) {
                socket.setSSLParameters(parameters);
                socket.setSoTimeout(10_000);
                socket.getOutputStream().write("hello\n".getBytes(StandardCharsets.UTF_8));
                byte[] answer = socket.getInputStream().readNBytes(1000);
                if (answer.length == 0) { // in TLS 1.3 a server that does not take our certificate says so only now
                    throw new IOException("the server left");
                }
                System.out.print(new String(answer, StandardCharsets.UTF_8));
                System.out.flush();
            }
        }
    }
}
