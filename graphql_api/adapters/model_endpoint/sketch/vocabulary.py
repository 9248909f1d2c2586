"""The words the renderer knows. A line per concept, its synonyms after the colon; the concept's name is a word too.

Plurals need no entry of their own. A phrase of two or three words is found before its words are.
"""

from __future__ import annotations

SUBJECTS = """
sea: ocean, beach, coast, seaside, wave, surf, seascape, shore, bay, marine, harbor, harbour, underwater
lake: pond, lagoon, reflection, fjord
river: stream, creek, brook, canal, waterfall
mountain: mount, peak, alp, ridge, summit, cliff, himalaya, volcano, canyon, landscape, valley, highland
hill: meadow, field, pasture, countryside, farmland, prairie, grassland, plain, village, farm
forest: wood, woodland, jungle, pine, taiga, rainforest, grove, conifer, spruce, fir, redwood
desert: dune, sand, sahara, arid, wasteland, oasis, mars, martian
city: town, skyline, street, skyscraper, downtown, metropolis, urban, building, cityscape, tower, alley, tokyo
city: york, london, paris, manhattan
space: cosmos, galaxy, nebula, universe, cosmic, interstellar, supernova
planet: saturn, jupiter, exoplanet, earth
astronaut: cosmonaut, spaceman, spacewoman
flower: garden, blossom, bloom, rose, tulip, poppy, daisy, lavender, sunflower, wildflower, bouquet, petal, orchid
flower: lily, floral
path: road, trail, lane, track, walkway, avenue
castle: fortress, palace, citadel, kingdom, cathedral, temple, fantasy
tree: oak, willow, maple, birch, baobab, bonsai
portrait: person, people, man, woman, girl, boy, face, human, child, head, figure, self-portrait, sailor, fisherman
portrait: captain, grandfather, grandmother, lady, king, queen, wizard, warrior, knight, princess
cat: kitten, kitty, feline, lynx, panther
boat: ship, sailboat, sail, yacht, vessel, canoe
bird: seagull, gull, crow, raven, swallow, eagle, flock, geese
house: cottage, cabin, hut, home, barn, lighthouse
geometric: bauhaus, geometry, cubism, cubist, constructivism, constructivist, suprematism, mondrian, kandinsky, shape
geometric: circle, square, triangle
abstract: pattern, fluid, marble, agate, swirl, flow, texture, psychedelic, fractal, wallpaper, dream, music, emotion
"""

LIGHTS = """
sunset: dusk, evening, twilight, sundown
dawn: sunrise, morning, daybreak
golden: golden hour, sunlit, sunlight
day: noon, midday, sunny, daylight, summer, spring, bright
night: midnight, moonlight, moonlit, nocturnal, nighttime, dark
overcast: grey sky, foggy, misty, fog, mist, haze, hazy, cloudy, gloomy
storm: stormy, thunder, thunderstorm, lightning, tempest, hurricane
"""

DETAILS = """
star: milky way, starry, starlight, constellation, stargazing
moon: full moon, lunar, crescent, moonlight, moonlit
sun: sunny, sunlit, sunlight
cloud: cloudy
aurora: northern lights, polar lights, borealis
fog: foggy, mist, misty, haze, hazy
rain: rainy, drizzle, downpour, wet, shower, storm, thunderstorm
snow: snowy, winter, wintry, frost, frozen, ice, icy, glacier, snowfall, arctic, polar, christmas, blizzard
snowfall: snowing, snowstorm, blizzard, snowflake
autumn: fall, autumnal, october, november
spring: cherry, sakura
old: elderly, aged, ancient, grandfather, grandmother, sailor, fisherman, wizard
sailor: captain, fisherman
minimal: minimalist, minimalistic, minimalism, simple, zen, calm
lightning: thunder, thunderstorm
"""

MEDIA = """
pencil: pencil sketch, line art, graphite, charcoal, sketch, drawing, hatching, crosshatch, engraving, etching
watercolor: watercolour, aquarelle, gouache
oil: oil painting, van gogh, impasto, impressionist, impressionism, gogh, monet, acrylic, painterly, painting
oil: brushstroke
pixel: pixel art, 8 bit, 16 bit, retro game, pixelart, pixelated, 8-bit, 16-bit, voxel, sprite
ink: ink wash, chinese painting, brush ink, sumi, sumi-e, calligraphy
neon: cyberpunk, synthwave, vaporwave, glowing, fluorescent
mono: black and white, monochrome, noir, grayscale, greyscale
sepia: old photo, vintage, antique, daguerreotype
poster: pop art, flat, vector, cartoon, anime, comic, illustration, screenprint, linocut, woodcut, ukiyo-e
"""

COLOURS = """
red: crimson, scarlet, ruby, vermilion
orange: amber, tangerine
yellow: gold, lemon
green: emerald, jade, olive, lime
teal: turquoise, cyan, aqua
blue: azure, navy, sapphire, indigo, cobalt
purple: violet, magenta, lilac, mauve
pink: rose, coral, fuchsia
"""


def index(listing: str) -> dict[str, tuple[str, ...]]:
    """Word or phrase -> the concepts it stands for."""
    found: dict[str, tuple[str, ...]] = {}
    for line in listing.strip().splitlines():
        concept, _, synonyms = line.partition(": ")
        for word in (concept, *synonyms.split(", ")):
            found[word] = tuple(dict.fromkeys((*found.get(word, ()), concept)))
    return found
