//! How do images and documents go into a request?

use std::borrow::Cow;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use percent_encoding::percent_decode_str;

use super::super::Unsupported;
use super::super::anthropic::{Block, Made, Source};
use super::super::openai::{File, ImageUrl, StringOr, Text};
use super::Place;

/// Without it Anthropic knows no files of its own.
pub(super) const BETA: &str = "files-api-2025-04-14";

const PDF: &str = "application/pdf";
/// With or without `=` at the end: clients write both.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

pub(super) fn image<'a>(
    image: Option<StringOr<'a, ImageUrl<'a>>>,
    place: Place,
) -> Result<Block<'a>, Unsupported> {
    let url = match image {
        Some(StringOr::Text(url)) => url,
        Some(StringOr::Other(image)) => image.url,
        None => Text::default(),
    };
    if let Some(uri) = DataUri::head(&url) {
        let media = uri.media(place, "image_url")?;
        return match (media, uri.base64) {
            (Media::Text, _) => Err(place.field(
                "image_url",
                "this is text, send it as a `file` part or as text",
            )),
            (media, true) => Ok(media.inline(url.after_byte(uri.data), None)),
            (_, false) => Err(place.field("image_url", "the data must be in base64")),
        };
    }
    if !starts_with(&url, "https://") {
        return Err(place.field("image_url", "the URL must begin with https:// or data:"));
    }
    Ok(Block::Image {
        source: Source::Made(Made::Url { url }),
        cache_control: None,
    })
}

pub(super) fn file<'a>(file: Option<File<'a>>, place: Place) -> Result<Block<'a>, Unsupported> {
    let File {
        file_data,
        file_id,
        filename,
    } = file.unwrap_or_default();
    let title = filename.filter(|name| !name.is_blank());
    match (file_data, file_id) {
        (Some(data), _) => data_file(data, title, place),
        // Anthropic's ids begin so; OpenAI's `file-…` mean nothing there.
        (None, Some(file_id)) if file_id.starts_with("file_") => {
            Ok(document(Made::File { file_id }, title))
        }
        (None, Some(_)) => Err(place.field(
            "file.file_id",
            "no such file at this provider, send the file itself as `file_data`",
        )),
        (None, None) => Err(place.field("file", "a file needs `file_data`")),
    }
}

fn data_file<'a>(
    data: Text<'a>,
    title: Option<Text<'a>>,
    place: Place,
) -> Result<Block<'a>, Unsupported> {
    let Some(uri) = DataUri::head(&data) else {
        if starts_with(&data, "https://") {
            return Ok(document(Made::Url { url: data }, title));
        }
        if data.contains(':') {
            return Err(place.field("file.file_data", "it must be a data: URI or base64"));
        }
        // Some clients send the base64 alone, and then it is a PDF.
        return Ok(Media::Pdf.inline(data, title));
    };
    let media = uri.media(place, "file.file_data")?;
    let encoded = data.after_byte(uri.data);
    let Media::Text = media else {
        return match uri.base64 {
            true => Ok(media.inline(encoded, title)),
            false => Err(place.field("file.file_data", "the data must be in base64")),
        };
    };
    let text = match uri.base64 {
        true => BASE64
            .decode(encoded.as_bytes())
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok()),
        false => percent_decode_str(&encoded)
            .decode_utf8()
            .ok()
            .map(Cow::into_owned),
    };
    let Some(text) = text else {
        return Err(place.field("file.file_data", "the data is not text in UTF-8"));
    };
    let data = Text::from(text);
    let media_type = "text/plain";
    Ok(document(Made::Text { media_type, data }, title))
}

fn document<'a>(source: Made<'a>, title: Option<Text<'a>>) -> Block<'a> {
    Block::Document {
        source: Source::Made(source),
        title,
        context: None,
        citations: None,
        cache_control: None,
    }
}

/// What Anthropic takes.
#[derive(Clone, Copy)]
enum Media {
    Image(&'static str),
    Pdf,
    Text,
}

impl Media {
    fn of(media_type: &str) -> Option<Self> {
        let media_type = media_type.to_ascii_lowercase();
        match media_type.as_str() {
            "image/jpeg" | "image/jpg" => Some(Self::Image("image/jpeg")),
            "image/png" => Some(Self::Image("image/png")),
            "image/gif" => Some(Self::Image("image/gif")),
            "image/webp" => Some(Self::Image("image/webp")),
            PDF => Some(Self::Pdf),
            // A data URI without a type is text.
            "" | "application/json" => Some(Self::Text),
            _ => media_type.starts_with("text/").then_some(Self::Text),
        }
    }

    fn inline<'a>(self, data: Text<'a>, title: Option<Text<'a>>) -> Block<'a> {
        match self {
            Self::Image(media_type) => Block::Image {
                source: Source::Made(Made::Base64 { media_type, data }),
                cache_control: None,
            },
            Self::Pdf | Self::Text => {
                let media_type = PDF;
                document(Made::Base64 { media_type, data }, title)
            }
        }
    }
}

/// What stands before the data of a `data:` URI.
struct DataUri {
    /// None where Anthropic does not take it.
    media: Option<Media>,
    base64: bool,
    /// Where the data begin.
    data: usize,
}

impl DataUri {
    fn head(url: &str) -> Option<Self> {
        if !starts_with(url, "data:") {
            return None;
        }
        let comma = url.find(',')?;
        let mut words = url.get("data:".len()..comma)?.split(';').map(str::trim);
        Some(Self {
            media: Media::of(words.next().unwrap_or_default()),
            base64: words.any(|word| word.eq_ignore_ascii_case("base64")),
            data: comma + 1,
        })
    }

    fn media(&self, place: Place, field: &str) -> Result<Media, Unsupported> {
        self.media.ok_or_else(|| {
            place.field(
                field,
                "the media type must be image/jpeg, image/png, image/gif, image/webp, application/pdf or text",
            )
        })
    }
}

fn starts_with(url: &str, scheme: &str) -> bool {
    url.get(..scheme.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
}
