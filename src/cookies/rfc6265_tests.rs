//! The behaviours of RFC 6265bis, one line each: what an answer sets, what the next request carries.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{CookieHeader, Jar, Site};
use crate::cookies::CookieJars;

const NAMES: [&str; 8] = [
    "a",
    "b",
    "c",
    "__Host-a",
    "__Secure-a",
    "__host-a",
    "cf_clearance",
    "__cf_bm",
];
const HOST: &str = "api.example.com";

/// 2025-11-12 17:00:00 GMT.
pub(super) fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_762_966_800)
}

pub(super) fn jar(host: &str) -> std::sync::Arc<Jar> {
    CookieJars::new(&NAMES.map(str::to_owned)).jar(host, "default")
}

pub(super) fn at<'a>(host: &'a str, path: &'a str) -> Site<'a> {
    Site {
        host,
        path,
        secure: true,
    }
}

fn text(header: Option<CookieHeader>) -> String {
    header.map_or(String::new(), |header| {
        header.value.to_str().unwrap().to_owned()
    })
}

/// What a request to `ask` carries after one answer at `from` set `lines`.
fn sent(host: &str, from: &str, lines: &[&str], ask: &str) -> String {
    let jar = jar(host);
    let lines = lines.iter().map(|line| line.as_bytes());
    jar.capture_lines(lines, &at(host, from), now());
    text(jar.header(&at(host, ask), now()))
}

/// The rows of a table, their columns divided by bars.
fn rows<const N: usize>(table: &str) -> impl Iterator<Item = [String; N]> + '_ {
    let columns = |row: &str| {
        let columns = row.split('|').map(str::trim);
        let columns = columns.map(|column| column.replace("<SP>", " ").replace("<TAB>", "\t"));
        columns.collect::<Vec<_>>().try_into().unwrap()
    };
    table
        .lines()
        .filter(|row| !row.trim().is_empty())
        .map(columns)
}

/// Rows of: why, the fields of one answer at `/v1/x` divided by ` & `, what a request for `/v1/y` carries.
fn check(table: &str) {
    for [why, fields, expected] in rows(table) {
        let fields: Vec<&str> = fields.split(" & ").collect();
        assert_eq!(
            sent(HOST, "/v1/x", &fields, "/v1/y"),
            expected,
            "{why}: {fields:?}"
        );
    }
}

const PAIRS: &str = r#"
    a plain pair | a=1 | a=1
    white space around is no part | <SP><SP>a <TAB>=<TAB> 1<SP><TAB> ; Path=/ | a=1
    white space inside stays even as a tab | a=1<TAB>2 | a=1<TAB>2
    white space inside is | a=1 2 | a=1 2
    quotes are part of the value | a="1" | a="1"
    an unmatched quote too | a="1 | a="1
    the first equals sign divides | a=1=2== | a=1=2==
    an empty value is a value | a= | a=
    a comma divides nothing | a=1, b=2 | a=1, b=2
    percent signs stay | a=%20%3B | a=%20%3B
    a quoted semicolon still ends the value | a="1;2" | a="1
    a line without equals sign has no name | a |
    a line without a name is ignored | =1 |
    an empty line is ignored |  |
    only attributes is no cookie | ; Path=/ |
    letter case of a name counts | A=1 |
    other names are nobody's business | session=1 |
    two fields are two cookies | a=1 & b=2 | a=1; b=2
    the later value wins | a=1 & a=2 | a=2
    an update keeps its place | a=1 & b=2 & a=3 | a=3; b=2
"#;

#[test]
fn pairs_are_read_as_the_standard_reads_them() {
    check(PAIRS);
}

#[test]
fn what_a_header_cannot_carry_spoils_the_whole_cookie() {
    for byte in (0_u8..0x20)
        .filter(|&byte| byte != b'\t')
        .chain([0x7F, 0x80, 0xFF])
    {
        let jar = jar(HOST);
        let line = [b"a=1", &[byte][..], b"2; Path=/"].concat();

        let captured = jar.capture_lines([line.as_slice()].into_iter(), &at(HOST, "/"), now());

        assert_eq!(captured.names, [""; 0], "byte {byte:#x}");
    }
}

#[test]
fn a_pair_may_have_4096_octets_and_an_attribute_1024() {
    let fits = format!("a={}", "v".repeat(4095));
    let over = format!("a={}", "v".repeat(4096));
    let path = format!("a=1; Path=/{}", "p".repeat(1024));
    let domain = format!("a=1; Domain={}.com", "d".repeat(1025));

    let table = [
        format!("name and value of 4096 octets | {fits} | {fits}"),
        format!("one octet more | {over} |"),
        format!("a longer one does not replace | a=1 & {over} | a=1"),
        format!("a path too long is as if absent | {path} | a=1"),
        format!("a domain too long is as if absent | {domain} | a=1"),
    ];
    check(&table.join("\n"));
}

const ENDS: &str = r#"
    a positive age | a=1; Max-Age=1 | a=1
    zero ends at once | a=1 & a=2; Max-Age=0 |
    minus one ends at once | a=1 & a=2; Max-Age=-1 |
    a bare minus is no number | a=1; Max-Age=- | a=1
    an empty age is ignored | a=1; Max-Age= | a=1
    an age without a value is ignored | a=1; Max-Age | a=1
    an age with letters is ignored | a=1; Max-Age=0x | a=1
    a fraction is ignored | a=1; Max-Age=0.5 | a=1
    a plus sign is ignored | a=1; Max-Age=+0 | a=1
    a quoted age is ignored | a=1; Max-Age="0" | a=1
    more digits than a number has | a=1; Max-Age=99999999999999999999 | a=1
    letter case does not matter | a=1 & a=2; mAX-aGE=0 |
    the last age wins | a=1; Max-Age=0; Max-Age=9 | a=1
    an invalid last age does not | a=1 & a=1; Max-Age=0; Max-Age=x |
    age beats a past date | a=1; Max-Age=9; Expires=Thu, 01 Jan 1970 00:00:00 GMT | a=1
    age beats a later date | a=1 & a=1; Expires=Fri, 01 Jan 2038 00:00:00 GMT; Max-Age=0 |
    an empty age leaves the date | a=1 & a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age= |
    a future date | a=1; Expires=Wed, 12 Nov 2025 17:00:01 GMT | a=1
    the very second is over | a=1; Expires=Wed, 12 Nov 2025 17:00:00 GMT |
    dashes and two digits | a=1; expires=Wed, 12-Nov-25 18:10:06 GMT | a=1
    a past date with dashes deletes | a=1 & a=; expires=Wed, 12-Nov-25 16:10:06 GMT |
    a long weekday deletes too | a=1 & a=; Expires=Thursday, 01-Jan-1970 00:00:00 GMT |
    a date that names no moment is ignored | a=1; Expires=tomorrow | a=1
    an empty date is ignored | a=1; Expires= | a=1
    the last date wins | a=1; Expires=1 Jan 1970 00:00:00; Expires=1 Jan 2026 00:00:00 | a=1
    an invalid last date does not | a=1; Expires=1 Jan 1970 00:00:00; Expires=never |
    deleting what is not there is nothing | a=; Max-Age=0 |
    a deletion names path and all | a=1; Path=/ & a=; Max-Age=0; Path=/v1 | a=1
    a deletion for the domain leaves the host's | a=1 & a=; Max-Age=0; Domain=example.com | a=1
"#;

#[test]
fn max_age_and_expires_end_a_cookie() {
    check(ENDS);
}

#[test]
fn no_cookie_lives_longer_than_400_days() {
    let cap = now() + Duration::from_secs(400 * 86_400);
    for line in [
        "a=1; Max-Age=99999999999999999999",
        "a=1; Max-Age=34560001",
        "a=1; Expires=Fri, 31 Dec 9999 23:59:59 GMT",
    ] {
        let jar = jar(HOST);

        jar.capture_lines([line.as_bytes()].into_iter(), &at(HOST, "/"), now());

        assert_eq!(jar.list()[0].expires, Some(cap), "{line}");
        assert_eq!(jar.header(&at(HOST, "/"), cap), None, "{line}");
    }
}

const DOMAINS: &str = r#"
    the host itself | api.example.com | api.example.com | yes
    a leading dot is dropped | api.example.com | .api.example.com | yes
    letter case does not matter | api.example.com | API.Example.COM | yes
    the domain above | api.example.com | example.com | yes
    the domain above with a dot | api.example.com | .example.com | yes
    empty is the host | api.example.com |  | yes
    a dot alone is the host | api.example.com | . | yes
    two dots are not | api.example.com | ..example.com | no
    a foreign host | api.example.com | api.example.org | no
    a relayed foreign domain | api.supermemory.ai | .anthropic.com | no
    a host below | api.example.com | x.api.example.com | no
    a sibling | api.example.com | www.example.com | no
    half a label | api.example.com | ample.com | no
    a trailing dot | api.example.com | example.com. | no
    a public suffix | api.example.com | com | no
    a public suffix with a dot | api.example.com | .com | no
    a suffix of two labels | shop.example.co.uk | co.uk | no
    the domain under it | shop.example.co.uk | example.co.uk | yes
    a host that is a suffix keeps its own | github.io | github.io | yes
    but not from below | me.github.io | github.io | no
    a host without dots | localhost | localhost | yes
    an address exactly | 192.0.2.7 | 192.0.2.7 | yes
    no part of an address | 192.0.2.7 | 0.2.7 | no
    no dotted part either | 192.0.2.7 | .2.7 | no
    an IPv6 address without the attribute | 2001:db8::7 |  | yes
"#;

#[test]
fn a_domain_is_the_hosts_own_or_one_above_it_and_no_public_suffix() {
    for [why, host, domain, kept] in rows(DOMAINS) {
        let line = format!("a=1; Domain={domain}");

        let sent = sent(&host, "/", &[&line], "/");

        assert_eq!(sent == "a=1", kept == "yes", "{why}: {domain} from {host}");
    }
}

const LAST_DOMAIN: &str = r#"
    foreign, then own | a=1; Domain=example.org; Domain=example.com | a=1
    own, then foreign | a=1; Domain=example.com; Domain=example.org |
    foreign, then none | a=1; Domain=example.org; Domain= | a=1
    foreign, then not even a sign | a=1; Domain=example.org; Domain | a=1
"#;

#[test]
fn the_last_domain_counts_even_when_it_is_empty() {
    check(LAST_DOMAIN);
}

const PATHS: &str = r#"
    the root covers all | a=1; Path=/ | /x | /y/z | yes
    the same path | a=1; Path=/v1 | / | /v1 | yes
    a segment below | a=1; Path=/v1 | / | /v1/messages | yes
    a slash at the end | a=1; Path=/v1/ | / | /v1/messages | yes
    but then not without it | a=1; Path=/v1/ | / | /v1 | no
    half a segment | a=1; Path=/v1 | / | /v10 | no
    another path | a=1; Path=/v2 | / | /v1 | no
    letter case of a path counts | a=1; Path=/V1 | / | /v1 | no
    a query is no part of the path | a=1; Path=/v1 | / | /v1?beta=true | yes
    not even one with slashes | a=1; Path=/v1/x | / | /v1?/x | no
    a path need not be the setter's | a=1; Path=/other | /v1/x | /other | yes
    by default the setter's folder | a=1 | /v1/x | /v1/y | yes
    and not the one above | a=1 | /v1/x | / | no
    of one segment it is the root | a=1 | /x | /y | yes
    a query does not make a folder | a=1 | /x?y/z | /q | yes
    a relative path is the default | a=1; Path=v1 | /x | /y | yes
    an empty one too | a=1; Path= | /v1/x | / | no
    the last path counts | a=1; Path=/v1; Path=/v2 | / | /v2 | yes
    even when it is empty | a=1; Path=/v1; Path | /x | /y | yes
    double slashes are segments | a=1; Path=/v3/https://h | / | /v3/https://h/v1 | yes
    a path in quotes is the default | a=1; Path="/v1" | /x | /y | yes
"#;

#[test]
fn a_path_covers_itself_and_what_is_below_it() {
    for [why, line, from, ask, kept] in rows(PATHS) {
        let sent = sent(HOST, &from, &[&line], &ask);

        assert_eq!(
            sent == "a=1",
            kept == "yes",
            "{why}: {line} from {from} asked {ask}"
        );
    }
}

const ORDER: &str = r#"
    by path length | a=1; Path=/ & b=2; Path=/v1 | b=2; a=1
    by age | c=1; Path=/ & a=2; Path=/ & b=3; Path=/ | c=1; a=2; b=3
    one name on two paths | a=1; Path=/ & a=2; Path=/v1 | a=2; a=1
    path before age | a=1; Path=/ & b=2; Path=/v1 & c=3; Path=/ | b=2; a=1; c=3
    host and domain cookies are two | a=1 & a=2; Domain=example.com | a=1; a=2
    deleted and set anew is young | a=1 & b=2 & a=; Max-Age=0 & a=3 | b=2; a=3
"#;

#[test]
fn longer_paths_go_first_and_older_cookies_before_younger_ones() {
    check(ORDER);
}

const FLAGS: &str = r#"
    flags | a=1; Secure; HttpOnly; SameSite=None; Partitioned | a=1
    a flag with a value | a=1; Secure=no | a=1
    an unknown attribute | a=1; Priority=High; Foo; =; ;; | a=1
    white space around attributes | a=1;  Max-Age = 0  |
    an attribute in quotes is unknown | a=1; "Max-Age=0" | a=1
"#;

#[test]
fn attributes_nobody_knows_and_flags_change_nothing() {
    check(FLAGS);
}

const PREFIXES: &str = r#"
    secure prefix, secure | __Secure-a=1; Secure; Path=/ | __Secure-a=1
    secure prefix alone | __Secure-a=1; Path=/ |
    host prefix, all of it | __Host-a=1; Secure; Path=/ | __Host-a=1
    host prefix, not secure | __Host-a=1; Path=/ |
    host prefix with a domain | __Host-a=1; Secure; Path=/; Domain=api.example.com |
    host prefix on another path | __Host-a=1; Secure; Path=/v1 |
    a prefix in other letters binds as well | __host-a=1; Path=/ |
"#;

#[test]
fn prefixed_names_keep_their_promises() {
    check(PREFIXES);
    assert_eq!(
        sent(HOST, "/x", &["__Host-a=1; Secure"], "/"),
        "",
        "the path must be given, even where the default is the root"
    );
}

const CLOUDFLARE: &str = r#"
    as it is sent | __cf_bm=x.y-1-1.0; path=/; expires=Wed, 12-Nov-25 18:10:06 GMT; domain=.example.com; HttpOnly; Secure; SameSite=None | __cf_bm=x.y-1-1.0
    with partition | cf_clearance=z; Path=/; Expires=Thu, 12-Nov-26 17:00:00 GMT; Domain=.example.com; HttpOnly; Secure; SameSite=None; Partitioned | cf_clearance=z
"#;

#[test]
fn cloudflares_own_lines_are_kept() {
    check(CLOUDFLARE);
}
