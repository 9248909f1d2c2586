"""The words the renderer knows. A line per concept; the first word is the concept's own name.

Plurals need no entry of their own. A phrase of two or three words is written with spaces and found before its words are.
"""

from __future__ import annotations

SUBJECTS = """
sea: ocean beach coast seaside wave surf seascape shore bay marine harbor harbour underwater
lake: pond lagoon reflection fjord
river: stream creek brook canal waterfall
mountain: mount peak alp ridge summit cliff himalaya volcano canyon landscape valley highland
hill: meadow field pasture countryside farmland prairie grassland plain village farm
forest: wood woodland jungle pine taiga rainforest grove conifer spruce fir redwood
desert: dune sand sahara arid wasteland oasis mars martian
city: town skyline street skyscraper downtown metropolis urban building cityscape tower tokyo york london paris manhattan alley
space: cosmos galaxy nebula universe cosmic interstellar supernova
planet: saturn jupiter exoplanet earth
astronaut: cosmonaut spaceman spacewoman
flower: garden blossom bloom rose tulip poppy daisy lavender sunflower wildflower bouquet petal orchid lily floral
path: road trail lane track walkway alley avenue
castle: fortress palace citadel kingdom cathedral temple fantasy
tree: oak willow maple birch baobab bonsai
portrait: person man woman girl boy face human people sailor lady king queen child wizard warrior knight princess figure head self-portrait
cat: kitten kitty feline lynx panther
boat: ship sailboat sail yacht vessel canoe
bird: seagull gull crow raven swallow eagle flock geese
house: cottage cabin hut home barn lighthouse
geometric: bauhaus geometry cubism cubist constructivism constructivist suprematism mondrian kandinsky shape circle square triangle
abstract: pattern fluid marble agate swirl flow texture psychedelic fractal wallpaper dream music emotion
"""

LIGHTS = """
sunset: dusk evening twilight sundown
dawn: sunrise morning daybreak
golden: golden hour sunlit sunlight
day: noon midday sunny daylight summer spring bright
night: midnight moonlight moonlit nocturnal nighttime dark
overcast: foggy misty fog mist haze hazy cloudy gloomy grey sky
storm: stormy thunder thunderstorm lightning tempest hurricane
"""

DETAILS = """
star: starry starlight milky way constellation stargazing
moon: lunar crescent full moon moonlight moonlit
sun: sunny sunlit sunlight
cloud: cloudy
aurora: northern lights polar lights borealis
fog: foggy mist misty haze hazy
rain: rainy drizzle downpour wet shower storm thunderstorm
snow: snowy winter wintry frost frozen ice icy glacier snowfall arctic polar christmas blizzard snowfall
snowfall: snowing snowstorm blizzard snowflake
autumn: fall autumnal october november
spring: cherry sakura
old: elderly aged ancient grandfather grandmother sailor fisherman wizard
sailor: captain fisherman
minimal: minimalist minimalistic minimalism simple zen calm
lightning: thunder thunderstorm
"""

MEDIA = """
pencil: graphite charcoal pencil sketch sketch drawing hatching crosshatch engraving etching line art
watercolor: watercolour aquarelle gouache
oil: oil painting impasto impressionist impressionism van gogh gogh monet acrylic painterly painting brushstroke
pixel: pixel art pixelart pixelated 8-bit 16-bit 8 bit 16 bit retro game voxel sprite
ink: ink wash sumi sumi-e calligraphy chinese painting brush ink
neon: cyberpunk synthwave vaporwave glowing fluorescent
mono: monochrome black and white noir grayscale greyscale
sepia: vintage antique daguerreotype old photo
poster: flat vector cartoon anime comic illustration pop art screenprint linocut woodcut ukiyo-e
"""

COLOURS = """
red: crimson scarlet ruby vermilion
orange: amber tangerine
yellow: gold lemon
green: emerald jade olive lime
teal: turquoise cyan aqua
blue: azure navy sapphire indigo cobalt
purple: violet magenta lilac mauve
pink: rose coral fuchsia
"""


def index(listing: str) -> dict[str, tuple[str, ...]]:
    """Word or phrase -> the concepts it stands for."""
    found: dict[str, tuple[str, ...]] = {}
    for line in listing.strip().splitlines():
        concept, _, rest = line.partition(":")
        for word in (concept, *_entries(rest.split())):
            found[word] = (*found.get(word, ()), concept)
    return found


_PHRASES = (
    "golden hour", "grey sky", "milky way", "full moon", "northern lights", "polar lights", "pencil sketch", "line art", "oil painting",
    "van gogh", "pixel art", "8 bit", "16 bit", "retro game", "ink wash", "chinese painting", "brush ink", "black and white", "old photo",
    "pop art",
)  # fmt: skip


def _entries(words: list[str]) -> list[str]:
    """`words` with the known phrases put together again."""
    text = f" {' '.join(words)} "
    entries = []
    for phrase in _PHRASES:
        if f" {phrase} " in text:
            entries.append(phrase)
            text = text.replace(f" {phrase} ", "  ", 1)
    return entries + text.split()
