// JMS by ActiveMQ: java -cp '/usr/share/activemq/lib/*' JmsClient.java ssl://localhost:PORT TRUST_STORE [KEY_STORE]
// Both stores are PKCS12; their password is in the environment variable STORE_PASSWORD.

import javax.jms.Connection;
import javax.jms.Queue;
import javax.jms.Session;
import javax.jms.TextMessage;
import org.apache.activemq.ActiveMQSslConnectionFactory;

public class JmsClient {
    public static void main(String[] arguments) throws Exception {
        String password = System.getenv("STORE_PASSWORD");
        // It checks the server's name too, unless the URL says `socket.verifyHostName=false`.
        ActiveMQSslConnectionFactory factory = new ActiveMQSslConnectionFactory(arguments[0]);
        factory.setTrustStoreType("PKCS12");
        factory.setTrustStore(arguments[1]);
        factory.setTrustStorePassword(password);
        if (arguments.length > 2) {
            factory.setKeyStoreType("PKCS12");
            factory.setKeyStore(arguments[2]);
            factory.setKeyStorePassword(password);
        }
        Connection connection = factory.createConnection();
        try {
            connection.start();
            Session session = connection.createSession(false, Session.AUTO_ACKNOWLEDGE);
            Queue queue = session.createTemporaryQueue();
            session.createProducer(queue).send(session.createTextMessage("hello"));
            System.out.println(((TextMessage) session.createConsumer(queue).receive(10_000)).getText());
        } finally {
            connection.close();
        }
    }
}
