import java.io.DataInputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Queue;
import org.apache.kafka.common.message.RequestHeaderData;
import org.apache.kafka.common.protocol.ApiKeys;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.ObjectSerializationCache;
import org.apache.kafka.common.requests.AbstractResponse;
import org.apache.kafka.common.requests.ResponseHeader;

/** A connection on which any request of any version is sent, as it is, and its answer read. */
final class Wire implements AutoCloseable {
    private static final int PATIENCE_MS = 60_000;

    private final Socket socket;
    private final DataInputStream in;
    private final OutputStream out;
    private final Queue<Object[]> unanswered = new ArrayDeque<>();
    private int correlation;

    Wire(String bootstrap) throws IOException {
        String[] address = bootstrap.split(":");
        socket = new Socket(address[0], Integer.parseInt(address[1]));
        socket.setTcpNoDelay(true);
        socket.setSoTimeout(PATIENCE_MS);
        in = new DataInputStream(socket.getInputStream());
        out = socket.getOutputStream();
    }

    /** Sends a request; {@link #receive} gives its answer. */
    void send(ApiKeys api, int version, ApiMessage request) throws IOException {
        short headerVersion = api.requestHeaderVersion((short) version);
        RequestHeaderData header =
            new RequestHeaderData()
                .setRequestApiKey(api.id)
                .setRequestApiVersion((short) version)
                .setClientId("client")
                .setCorrelationId(correlation++);
        ObjectSerializationCache cache = new ObjectSerializationCache();
        int size = header.size(cache, headerVersion) + request.size(cache, (short) version);
        ByteBuffer frame = ByteBuffer.allocate(Integer.BYTES + size);
        ByteBufferAccessor writable = new ByteBufferAccessor(frame);
        writable.writeInt(size);
        header.write(writable, cache, headerVersion);
        request.write(writable, cache, (short) version);
        out.write(frame.array());
        unanswered.add(new Object[] {api, (short) version});
    }

    /** The answer to the oldest request that was not answered. */
    ApiMessage receive() throws IOException {
        Object[] asked = unanswered.remove();
        ApiKeys api = (ApiKeys) asked[0];
        short version = (Short) asked[1];
        byte[] frame = new byte[in.readInt()];
        in.readFully(frame);
        ByteBuffer answer = ByteBuffer.wrap(frame);
        ResponseHeader.parse(answer, api.responseHeaderVersion(version));
        return AbstractResponse.parseResponse(api, answer, version).data();
    }

    ApiMessage ask(ApiKeys api, int version, ApiMessage request) throws IOException {
        send(api, version, request);
        return receive();
    }

    @Override
    public void close() throws IOException {
        socket.close();
    }

    /**
     * What an answer says, without what may differ from one broker or run to another: ids that are
     * drawn, times, the order of lists, texts of errors.
     */
    static String told(ApiMessage answer) {
        return ordered(answer.toString())
            .replaceAll("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UUID")
            .replaceAll("producerId=\\d+", "producerId=N")
            .replaceAll("(StartTimeMs|Timestamp)=\\d{6,}", "$1=T")
            .replaceAll("errorMessage='[^']*'", "errorMessage=E");
    }

    /** The same text with what stands in brackets in order. */
    private static String ordered(String text) {
        StringBuilder result = new StringBuilder();
        int at = 0;
        while (at < text.length()) {
            char open = text.charAt(at);
            if (open != '[' && open != '(') {
                result.append(open);
                at++;
                continue;
            }
            int end = closing(text, at);
            List<String> elements = new ArrayList<>();
            for (String element : split(text.substring(at + 1, end))) {
                elements.add(ordered(element));
            }
            boolean isBytes = elements.stream().allMatch(element -> element.matches("-?\\d+"));
            if (open == '[' && (!isBytes || text.startsWith("artitions=", at - 10))) {
                Collections.sort(elements);
            }
            result.append(open).append(String.join(", ", elements)).append(text.charAt(end));
            at = end + 1;
        }
        return result.toString();
    }

    private static int closing(String text, int open) {
        int depth = 0;
        for (int at = open; ; at++) {
            depth += "[(".indexOf(text.charAt(at)) >= 0 ? 1 : 0;
            depth -= "])".indexOf(text.charAt(at)) >= 0 ? 1 : 0;
            if (depth == 0) {
                return at;
            }
        }
    }

    private static List<String> split(String text) {
        List<String> parts = new ArrayList<>();
        int depth = 0;
        int begin = 0;
        for (int at = 0; at < text.length(); at++) {
            char c = text.charAt(at);
            depth += "[(".indexOf(c) >= 0 ? 1 : "])".indexOf(c) >= 0 ? -1 : 0;
            if (c == ',' && depth == 0) {
                parts.add(text.substring(begin, at).trim());
                begin = at + 1;
            }
        }
        if (begin < text.length()) {
            parts.add(text.substring(begin).trim());
        }
        return parts;
    }
}
