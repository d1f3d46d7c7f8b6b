import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/** What happened, as JSON lines. */
final class Say {
    private Say() {}

    /** One line: a step, and what is told of it: names and values by turns. */
    static void say(String step, Object... told) {
        var line = map(told);
        line.put("step", step);
        var text = json(line);
        synchronized (Say.class) {
            System.out.println(text);
        }
    }

    static Map<String, Object> map(Object... told) {
        var map = new LinkedHashMap<String, Object>();
        for (int place = 0; place < told.length; place += 2) {
            map.put((String) told[place], told[place + 1]);
        }
        return map;
    }

    static String md5(byte[] data) {
        try {
            return HexFormat.of().formatHex(MessageDigest.getInstance("MD5").digest(data));
        } catch (NoSuchAlgorithmException error) {
            throw new IllegalStateException(error);
        }
    }

    private static String json(Object value) {
        return switch (value) {
            case null -> "null";
            case Number number -> number.toString();
            case Boolean truth -> truth.toString();
            case Map<?, ?> map -> map.entrySet().stream()
                    .map(entry -> json(entry.getKey().toString()) + ":" + json(entry.getValue()))
                    .collect(Collectors.joining(",", "{", "}"));
            case Iterable<?> list -> {
                var items = new java.util.ArrayList<String>();
                list.forEach(item -> items.add(json(item)));
                yield items.stream().collect(Collectors.joining(",", "[", "]"));
            }
            default -> text(value.toString());
        };
    }

    private static String text(String text) {
        var out = new StringBuilder("\"");
        for (char unit : text.toCharArray()) {
            if (unit == '"' || unit == '\\') {
                out.append('\\').append(unit);
            } else if (unit < ' ' || unit > '~') {
                out.append("\\u%04x".formatted((int) unit));
            } else {
                out.append(unit);
            }
        }
        return out.append('"').toString();
    }

    /** Names of the things in a list. */
    static <T> List<String> names(List<T> things, java.util.function.Function<T, String> name) {
        return things.stream().map(name).toList();
    }
}
