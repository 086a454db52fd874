//! What does a request say in its bytes, read by rules that leave no choice? (RFC 9112, without what a gateway may repair.)

pub struct Message {
    /// Method, target and version.
    pub line: Vec<u8>,
    /// Names in lower case, values without the blanks around them.
    pub fields: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
}

impl Message {
    /// `None`: its form is wrong, or two readers could take it for two things.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        while let Some(after) = rest.strip_prefix(b"\r\n").or(rest.strip_prefix(b"\n")) {
            rest = after;
        }
        let request = line(&mut rest)?.to_vec();
        let mut fields = Vec::new();
        loop {
            let line = line(&mut rest)?;
            if line.is_empty() {
                break;
            }
            let colon = line.iter().position(|byte| *byte == b':')?;
            let name = std::str::from_utf8(&line[..colon]).ok()?;
            let token =
                |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            if name.is_empty() || !name.bytes().all(token) {
                return None;
            }
            fields.push((
                name.to_ascii_lowercase(),
                line[colon + 1..].trim_ascii().to_vec(),
            ));
        }
        let head = Self {
            line: request,
            fields,
            body: Vec::new(),
        };
        let body = head.body_in(rest)?;
        Some(Self { body, ..head })
    }

    pub fn all<'m>(&'m self, name: &'m str) -> impl Iterator<Item = &'m [u8]> {
        let named = self.fields.iter().filter(move |(other, _)| other == name);
        named.map(|(_, value)| value.as_slice())
    }

    fn body_in(&self, mut rest: &[u8]) -> Option<Vec<u8>> {
        let lengths: Vec<_> = self.all("content-length").collect();
        let codings: Vec<_> = self.all("transfer-encoding").collect();
        match (&lengths[..], &codings[..]) {
            ([], []) => Some(Vec::new()),
            ([length], []) => {
                let digits = !length.is_empty() && length.iter().all(u8::is_ascii_digit);
                let length = std::str::from_utf8(length).ok().filter(|_| digits)?;
                rest.get(..length.parse().ok()?).map(<[u8]>::to_vec)
            }
            ([], [coding]) if coding.eq_ignore_ascii_case(b"chunked") => chunks(&mut rest),
            _ => None,
        }
    }
}

/// To a line feed; a carriage return before it belongs to it.
fn line<'b>(rest: &mut &'b [u8]) -> Option<&'b [u8]> {
    let end = rest.iter().position(|byte| *byte == b'\n')?;
    let line = &rest[..end];
    *rest = &rest[end + 1..];
    Some(line.strip_suffix(b"\r").unwrap_or(line))
}

/// A chunk's size, and what extends it: to Pingora anything up to the line's end, which goes no further.
fn size_line<'b>(rest: &mut &'b [u8]) -> Option<&'b [u8]> {
    let first = rest.iter().find(|byte| b";\n".contains(byte))?;
    if *first == b'\n' {
        return line(rest);
    }
    let end = rest.windows(2).position(|two| two == b"\r\n")?;
    let line = &rest[..end];
    *rest = &rest[end + 2..];
    Some(line)
}

fn chunks(rest: &mut &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = size_line(rest)?;
        let size = line
            .split(|byte| *byte == b';')
            .next()
            .unwrap_or_default()
            .trim_ascii();
        if !size.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        let size = std::str::from_utf8(size).ok()?;
        // Pingora takes no size for none, and what goes up has one.
        if size.bytes().all(|digit| digit == b'0') {
            return Some(body);
        }
        let size = usize::from_str_radix(size, 16).ok()?;
        body.extend_from_slice(rest.get(..size)?);
        *rest = rest.get(size..)?.strip_prefix(b"\r\n")?;
    }
}
