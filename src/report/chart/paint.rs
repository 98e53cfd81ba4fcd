//! A scene to SVG text and PNG bytes, both through the same plotters drawing.

use super::scene::{Hang, Scene, Shape};
use plotters::coord::Shift;
use plotters::element::PathElement;
use plotters::prelude::{
    BitMapBackend, Circle, Color, DrawingArea, DrawingBackend, IntoDrawingArea, IntoFont, Polygon,
    SVGBackend, Text, WHITE,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontStyle, FontTransform, RGBColor, ShapeStyle, TextStyle, register_font};
use std::sync::Once;

/// The family under which the embedded font is known; the SVG's reader chooses its own.
const FAMILY: &str = "sans-serif";
const FONT: &[u8] = include_bytes!("../../../assets/fonts/DejaVuSans-subset.ttf");
/// Drawing units a point: plotters draws on whole units.
const FINE: f64 = 4.0;
/// Drawing units averaged to a pixel of the PNG, which has twice as many pixels as points.
const BLUR: usize = 2;
/// plotters' font size over the size of the letters' em.
const EM: f64 = 1.24;

const SVG: Pen = Pen { split: false, drop: 0.0 };
const BITMAP: Pen = Pen { split: true, drop: 0.16 };

static REGISTER: Once = Once::new();

fn fonts() {
    REGISTER.call_once(|| drop(register_font(FAMILY, FontStyle::Normal, FONT)));
}

/// Width of words of a size, in points.
pub(super) fn width(words: &str, size: f64) -> f64 {
    fonts();
    let font = (FAMILY, size * EM * 10.0).into_font();
    font.box_size(words)
        .map_or(0.6 * size * words.chars().count() as f64, |(w, _)| f64::from(w) / 10.0)
}

/// Words cut with an ellipsis until they fit.
pub(super) fn fit(words: &str, size: f64, room: f64) -> String {
    if width(words, size) <= room {
        return words.to_owned();
    }
    let mut letters: Vec<char> = words.chars().collect();
    while letters.pop().is_some() {
        let cut: String = letters.iter().collect::<String>().trim_end().to_owned() + "…";
        if letters.is_empty() || width(&cut, size) <= room {
            return cut;
        }
    }
    String::new()
}

#[expect(clippy::cast_possible_truncation, reason = "bounded to a few drawings' width")]
fn units(points: f64) -> i32 {
    (points * FINE).clamp(-1e5, 1e5).round() as i32
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive and bounded")]
fn size_units(points: f64) -> u32 {
    (points * FINE).clamp(1.0, 1e5).round() as u32
}

fn spot(p: (f64, f64)) -> (i32, i32) {
    (units(p.0), units(p.1))
}

fn letters(color: RGBColor, size: f64, hang: Hang) -> TextStyle<'static> {
    let h = match hang {
        Hang::Start => HPos::Left,
        Hang::Middle | Hang::Upwards => HPos::Center,
        Hang::End => HPos::Right,
    };
    let font = (FAMILY, size * EM * FINE).into_font();
    let font = if hang == Hang::Upwards { font.transform(FontTransform::Rotate270) } else { font };
    TextStyle { color: color.to_backend_color(), ..TextStyle::from(font) }
        .pos(Pos::new(h, VPos::Center))
}

/// What a backend needs to be told to look like the other.
#[derive(Debug, Clone, Copy)]
struct Pen {
    /// Draw thick lines segment by segment: a bitmap's sharp corners would spike.
    split: bool,
    /// How far words must be let down to be centred, in their size.
    drop: f64,
}

/// A line of some width, its corners and ends rounded also if it is drawn in pieces.
fn stroke<DB: DrawingBackend>(
    area: &DrawingArea<DB, Shift>,
    path: Vec<(i32, i32)>,
    (color, width, pen): (RGBColor, f64, Pen),
) -> Option<()> {
    let style = ShapeStyle::from(color).stroke_width(size_units(width));
    if !pen.split {
        return area.draw(&PathElement::new(path, style)).ok();
    }
    for pair in path.windows(2) {
        area.draw(&PathElement::new(pair.to_vec(), style)).ok()?;
    }
    for at in path {
        area.draw(&Circle::new(at, units(width / 2.0), color.filled())).ok()?;
    }
    Some(())
}

/// Draws every shape; a shape that the backend refuses is left out.
fn draw<DB: DrawingBackend>(area: &DrawingArea<DB, Shift>, scene: &Scene, pen: Pen) -> Option<()> {
    area.fill(&WHITE).ok()?;
    for shape in &scene.shapes {
        match shape {
            Shape::Line(points, color, width) => {
                let path: Vec<(i32, i32)> = points.iter().map(|p| spot(*p)).collect();
                stroke(area, path, (*color, *width, pen))?;
            }
            Shape::Area(points, color, opacity) => {
                let path: Vec<(i32, i32)> = points.iter().map(|p| spot(*p)).collect();
                area.draw(&Polygon::new(path, color.mix(*opacity).filled())).ok()?;
            }
            Shape::Dot(at, color, radius) => {
                area.draw(&Circle::new(spot(*at), units(*radius), color.filled())).ok()?;
            }
            Shape::Text(at, words, color, size, hang) => {
                let style = letters(*color, *size, *hang);
                let drop = pen.drop * size;
                let at = match hang {
                    Hang::Upwards => (at.0 + drop, at.1),
                    _ => (at.0, at.1 + drop),
                };
                area.draw(&Text::new(words.clone(), spot(at), style)).ok()?;
            }
        }
    }
    area.present().ok()
}

/// The scene as SVG.
pub(super) fn svg(scene: &Scene) -> String {
    fonts();
    let (w, h) = (size_units(scene.size.0), size_units(scene.size.1));
    let mut text = String::new();
    draw(&SVGBackend::with_string(&mut text, (w, h)).into_drawing_area(), scene, SVG);
    let about = scene.about.replace('&', "&amp;").replace('<', "&lt;");
    let fine = format!("<svg width=\"{w}\" height=\"{h}\"");
    let (w, h) = (scene.size.0, scene.size.1);
    let text = text.replacen(
        &fine,
        &format!("<svg role=\"img\" stroke-linejoin=\"round\" stroke-linecap=\"round\" width=\"{w}\" height=\"{h}\""),
        1,
    );
    text.replacen(">\n", &format!(">\n<title>{about}</title>\n"), 1)
}

/// The scene as PNG, two pixels a point; empty only if the encoder fails.
pub(super) fn png(scene: &Scene) -> Vec<u8> {
    fonts();
    let (w, h) = (size_units(scene.size.0), size_units(scene.size.1));
    let mut fine = vec![255; w as usize * h as usize * 3];
    draw(&BitMapBackend::with_buffer(&mut fine, (w, h)).into_drawing_area(), scene, BITMAP);
    let pixels = soften(&fine, w as usize, h as usize);
    encode(&pixels, w / 2, h / 2).unwrap_or_default()
}

/// Averages squares of drawing units to pixels.
fn soften(fine: &[u8], width: usize, height: usize) -> Vec<u8> {
    let mut pixels = Vec::with_capacity(fine.len() / (BLUR * BLUR));
    for y in 0..height / BLUR {
        for x in 0..width / BLUR {
            for channel in 0..3 {
                let at = |dx, dy| {
                    let place = ((y * BLUR + dy) * width + x * BLUR + dx) * 3 + channel;
                    u16::from(fine[place])
                };
                let sum = at(0, 0) + at(1, 0) + at(0, 1) + at(1, 1);
                pixels.push(u8::try_from((sum + 2) / 4).unwrap_or(u8::MAX));
            }
        }
    }
    pixels
}

fn encode(pixels: &[u8], width: u32, height: u32) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().ok()?;
    writer.write_image_data(pixels).ok()?;
    writer.finish().ok()?;
    Some(bytes)
}
