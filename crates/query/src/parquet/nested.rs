//! Lists, maps and groups of Parquet as JSON text.

use parquet::record::Field;

use super::column::{date, timestamp};
use super::json;

/// Appends a value of whatever nesting.
pub(super) fn write(field: &Field, text: &mut Vec<u8>) {
    let quoted = |shown: String, text: &mut Vec<u8>| json::string(shown.as_bytes(), text);
    match field {
        Field::Null => text.extend(b"null"),
        Field::Bool(value) => json::boolean(*value, text),
        Field::Byte(number) => text.extend(number.to_string().bytes()),
        Field::Short(number) => text.extend(number.to_string().bytes()),
        Field::Int(number) => text.extend(number.to_string().bytes()),
        Field::Long(number) => text.extend(number.to_string().bytes()),
        Field::UByte(number) => text.extend(number.to_string().bytes()),
        Field::UShort(number) => text.extend(number.to_string().bytes()),
        Field::UInt(number) => text.extend(number.to_string().bytes()),
        Field::ULong(number) => text.extend(number.to_string().bytes()),
        Field::Float(number) => json::real(f64::from(*number), text),
        Field::Double(number) => json::real(*number, text),
        Field::Str(content) => json::string(content.as_bytes(), text),
        Field::Bytes(bytes) => match std::str::from_utf8(bytes.data()) {
            Ok(content) => json::string(content.as_bytes(), text),
            Err(_) => json::hexadecimal(bytes.data(), text),
        },
        Field::Date(days) => quoted(date(*days), text),
        Field::TimestampMillis(millis) => {
            quoted(timestamp(i128::from(*millis) * 1_000_000, 3, true), text);
        }
        Field::TimestampMicros(micros) => {
            quoted(timestamp(i128::from(*micros) * 1000, 6, true), text);
        }
        // As the library shows them.
        Field::Float16(_) | Field::Decimal(_) | Field::TimeMillis(_) | Field::TimeMicros(_) => {
            quoted(field.to_string(), text);
        }
        Field::Group(row) => {
            let members =
                row.get_column_iter().map(|(name, field)| (name.as_bytes().to_vec(), field));
            object(members, text);
        }
        Field::ListInternal(list) => {
            text.push(b'[');
            for (place, element) in list.elements().iter().enumerate() {
                if place > 0 {
                    text.push(b',');
                }
                write(element, text);
            }
            text.push(b']');
        }
        Field::MapInternal(map) => {
            object(map.entries().iter().map(|(key, value)| (name_of(key), value)), text);
        }
    }
}

fn object<'f>(members: impl Iterator<Item = (Vec<u8>, &'f Field)>, text: &mut Vec<u8>) {
    text.push(b'{');
    for (place, (name, value)) in members.enumerate() {
        if place > 0 {
            text.push(b',');
        }
        json::string(&name, text);
        text.push(b':');
        write(value, text);
    }
    text.push(b'}');
}

/// A key of JSON is a text, whatever it is in Parquet.
fn name_of(key: &Field) -> Vec<u8> {
    match key {
        Field::Str(name) => name.clone().into_bytes(),
        key => key.to_string().into_bytes(),
    }
}
