//! HTTP/1.1 messages as bytes: heads, and bodies in chunks.

use bytes::BytesMut;
use cloakroom::http1::{
    BodyFault, Decoder, Fields, LAST_CHUNK, LINE_END, Piece, chunk_head, read_request,
    read_response,
};

/// Whatever comes over a connection: a head is read alike however its bytes are cut, no field of it holds what would end a line, and
/// a body in chunks is the same however it comes, never longer than what came, and itself when it is written again.
pub fn messages(data: &[u8]) {
    let cut = data.first().map_or(1, |byte| usize::from(byte % 13) + 1);
    request(data, cut);
    response(data);
    let whole = chunks(data, data.len().max(1));
    assert_eq!(whole, chunks(data, cut), "cut every {cut}");
    if let Ok((body, rest)) = whole {
        assert!(body.len() + rest < data.len(), "there is no last chunk");
        let mut again = Vec::new();
        for part in body.chunks(cut) {
            chunk_head(part.len(), &mut again);
            again.extend_from_slice(part);
            again.extend_from_slice(LINE_END);
        }
        again.extend_from_slice(LAST_CHUNK);
        assert_eq!(chunks(&again, cut), Ok((body, 0)));
    }
}

fn request(data: &[u8], cut: usize) {
    let mut at_once = BytesMut::from(data);
    let read = read_request(&mut at_once);
    if let Ok(Some(head)) = &read {
        check(&head.fields);
        assert!(head.target.iter().all(|byte| *byte > b' ' && *byte != 0x7f));
        assert!(data.ends_with(&at_once), "what follows the head is as it came");
    }
    let mut piecewise = BytesMut::new();
    for part in data.chunks(cut) {
        piecewise.extend_from_slice(part);
        match read_request(&mut piecewise) {
            Ok(None) => {}
            Err(_) => return assert!(read.is_err()),
            Ok(Some(head)) => {
                let Ok(Some(same)) = read else { panic!("a head only when it comes in pieces") };
                assert_eq!((head.method, head.target), (same.method, same.target));
                assert!(head.fields.iter().eq(same.fields.iter()));
                return;
            }
        }
    }
    assert!(!matches!(read, Ok(Some(_))), "a head only when it comes at once");
}

fn response(data: &[u8]) {
    let mut buffer = BytesMut::from(data);
    if let Ok(Some(head)) = read_response(&mut buffer) {
        check(&head.fields);
        assert!((100..1000).contains(&head.status.as_u16()));
        assert!(data.ends_with(&buffer), "what follows the head is as it came");
    }
}

fn check(fields: &Fields) {
    for (name, value) in fields.iter() {
        assert!(
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':')
        );
        assert!(!name.bytes().any(|byte| byte.is_ascii_uppercase()));
        assert!(!value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0 | 0x7f)));
        assert!(fields.get_all(name).any(|known| known == value), "{name} is there");
    }
}

/// The whole body, and how many bytes stand behind it.
fn chunks(data: &[u8], cut: usize) -> Result<(Vec<u8>, usize), BodyFault> {
    let (mut decoder, mut buffer, mut body) = (Decoder::CHUNKED, BytesMut::new(), Vec::new());
    for part in data.chunks(cut) {
        buffer.extend_from_slice(part);
        while let Piece::Data(piece) = decoder.take(&mut buffer)? {
            assert!(!piece.is_empty());
            body.extend_from_slice(&piece);
        }
    }
    decoder.at_end_of_stream()?;
    Ok((body, buffer.len()))
}

pub(super) fn wires() -> Vec<Vec<u8>> {
    super::owned(&[
        "GET /api/x?a=b HTTP/1.1\r\nHost: a\r\nCookie: c=d\r\nX-Csrf: 1\r\n\r\nnext",
        "POST / HTTP/1.0\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-type: a/b\r\nset-cookie: a=b\r\nset-cookie: c=d\r\n\r\nbody",
        "HTTP/1.1 103 Early\r\nlink: </x>\r\n\r\nHTTP/1.1 204 No\r\n\r\n",
        "3;a=\"b\"\r\nabc\r\n0A \r\n0123456789\r\n0\r\nX: y\r\n\r\nnext",
        "ffffffffffffffff\r\n",
        "1\r\na\r\n00\r\n\r\n",
    ])
}
