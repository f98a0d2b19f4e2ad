"""Sixty articles about the works of a town that is nowhere, twelve in each of five languages. They fill the small web."""

# ruff: noqa: E501 - a line of Chinese is twice as wide as it is long

from dataclasses import dataclass

ENGINEERS = ["Clara Voss", "Ivo Brandt", "Mara Lindqvist", "Jonas Ferrer", "Edda Kroll", "Tomas Wieck"]

WORKS: dict[str, list[str]] = {
    "en": ["harbour station", "iron bridge", "town library", "observatory", "cable ferry", "tram depot"]
    + ["fish market", "lighthouse", "upper dam", "town archive", "opera house", "glass foundry"],
    "de": ["Hafenstation", "Eisenbrücke", "Stadtbibliothek", "Sternwarte", "Seilfähre", "Straßenbahndepot"]
    + ["Fischmarkt", "Leuchtturm", "Talsperre", "Stadtarchiv", "Opernhaus", "Glashütte"],
    "fr": ["station du port", "pont de fer", "bibliothèque", "observatoire", "bac à câble", "dépôt des tramways"]
    + ["marché aux poissons", "phare", "barrage", "archives", "opéra", "verrerie"],
    "zh": [
        "港口泵站",
        "铁桥",
        "市图书馆",
        "天文台",
        "缆索渡船",
        "电车车库",
        "鱼市场",
        "灯塔",
        "上游水坝",
        "市档案馆",
        "歌剧院",
        "玻璃厂",
    ],
    "ja": [
        "港の揚水場",
        "鉄橋",
        "市立図書館",
        "天文台",
        "渡し船",
        "路面電車の車庫",
        "魚市場",
        "灯台",
        "上流のダム",
        "市の文書館",
        "歌劇場",
        "ガラス工場",
    ],
}

_FACTS: dict[str, str] = {
    "en": "The {work} of Talmar was built in {year} by the engineer {engineer}. It cost {cost} million crowns, which the"
    " council raised by a tax on salt.",
    "de": "Das Bauwerk {work} in Talmar wurde {year} von {engineer} errichtet. Es kostete {cost} Millionen Kronen, die"
    " der Rat durch eine Steuer auf Salz aufbrachte.",
    "fr": "L'ouvrage {work} de Talmar fut construit en {year} par l'ingénieur {engineer}. Il coûta {cost} millions de"
    " couronnes, que le conseil tira d'un impôt sur le sel.",
    "zh": "塔尔马的{work}由工程师{engineer}于{year}年建成。它耗资{cost}百万克朗，市议会通过盐税筹集了这笔钱。",
    "ja": "タルマルの{work}は、技師{engineer}によって{year}年に建てられた。費用は{cost}百万クローネで、市議会が塩税でまかなった。",
}
_TODAY: dict[str, str] = {
    "en": "Today {visitors} people visit it every year, most of them in June, when the river is low and the old walls"
    " can be seen from the quay. A guide tells how the stones were brought down the valley on rafts.",
    "de": "Heute besuchen es jährlich {visitors} Menschen, die meisten im Juni, wenn der Fluss niedrig steht und man die"
    " alten Mauern vom Kai aus sieht. Größere Gruppen melden sich bitte vorher an.",
    "fr": "Aujourd'hui {visitors} personnes le visitent chaque année, surtout en juin, quand la rivière est basse et que"
    " les vieux murs se voient depuis le quai. Un guide raconte l'arrivée des pierres sur des radeaux.",
    "zh": "如今每年有{visitors}人来参观，大多数在六月，那时河水很低，从码头上可以看到古老的城墙。导游会讲述石头是怎样用木筏运下山谷的。",
    "ja": "今では毎年{visitors}人が訪れる。多くは川の水位が低く、古い壁が岸から見える六月に来る。案内人は石が筏で谷を下った話をする。",
}
_REPAIRS: dict[str, str] = {
    "en": "In {repaired} a flood broke the eastern wall. Repairs took two winters; the mortar was mixed with ground"
    " shells, as the old builders had done, and it has held ever since.",
    "de": "Im Jahr {repaired} brach ein Hochwasser die östliche Mauer. Die Ausbesserung dauerte zwei Winter; dem Mörtel"
    " wurden gemahlene Muscheln beigemischt, und er hält bis heute.",
    "fr": "En {repaired} une crue rompit le mur oriental. Les réparations durèrent deux hivers; on mêla au mortier des"
    " coquillages broyés, et il a tenu depuis.",
    "zh": "{repaired}年的一场洪水冲垮了东墙。修复工作用了两个冬天；工匠像从前一样在灰浆里掺入磨碎的贝壳，至今依然牢固。",
    "ja": "{repaired}年の洪水で東の壁が崩れた。修理には二冬かかり、昔の職人にならって砕いた貝を混ぜた漆喰が使われ、今も持ちこたえている。",
}
_HEADS: dict[str, tuple[str, str]] = {
    "en": ("History", "Today"),
    "de": ("Geschichte", "Heute"),
    "fr": ("Histoire", "Aujourd'hui"),
    "zh": ("历史", "今天"),
    "ja": ("歴史", "現在"),
}


@dataclass(frozen=True, slots=True)
class Article:
    language: str
    number: int
    work: str
    facts: str
    repairs: str
    today: str

    @property
    def path(self) -> str:
        return f"/{self.language}/{self.number}"

    @property
    def year(self) -> int:
        return 1801 + self.number * 13

    @property
    def text(self) -> str:
        heads = _HEADS[self.language]
        return "\n".join([self.work, heads[0], self.facts, self.repairs, heads[1], self.today])

    def html(self, charset: str = "utf-8", says_charset: bool = True) -> bytes:
        meta = f'<meta charset="{charset}">' if says_charset else ""
        heads = _HEADS[self.language]
        page = f"""<!DOCTYPE html><html lang="{self.language}"><head>{meta}<title>{self.work} | Talmar</title>
            <meta property="og:site_name" content="Talmar Chronicle">
            <meta property="article:published_time" content="2024-03-{self.number + 1:02}T08:00:00Z">
            <link rel="canonical" href="{self.path}"><style>nav {{ color: red }}</style></head><body>
            <nav><ul>{"".join(f'<li><a href="/{n}">Menu {n}</a></li>' for n in range(12))}</ul></nav>
            <div class="cookie-banner" role="dialog"><button>Accept all cookies</button></div>
            <main><article><h1>{self.work}</h1><h2>{heads[0]}</h2><p>{self.facts}</p><p>{self.repairs}</p>
            <h2>{heads[1]}</h2><p>{self.today}</p></article></main>
            <aside><a href="/buy">Buy the guide book</a></aside><footer>Imprint, privacy, 2024</footer>
            <script>window.count = 1;</script></body></html>"""
        return page.encode(charset)


def articles() -> list[Article]:
    return [_article(language, number) for language in WORKS for number in range(len(WORKS[language]))]


def _article(language: str, number: int) -> Article:
    values = {
        "work": WORKS[language][number],
        "year": 1801 + number * 13,
        "engineer": ENGINEERS[number % len(ENGINEERS)],
        "cost": f"{2 + number}.{number % 10}",
        "repaired": 1951 + number,
        "visitors": 12_000 + 731 * number,
    }
    texts = [texts[language].format(**values) for texts in (_FACTS, _REPAIRS, _TODAY)]
    return Article(language, number, WORKS[language][number], *texts)
