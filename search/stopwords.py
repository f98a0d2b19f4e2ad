"""Words that a question holds for grammar's sake: not looked up, unless it has no others. Folded; en, de, fr."""

_WORDS = """
a an the and or not no but if then than so as at by for from in into of off on onto out over to under up with without
is are was were be been being am do does did done has have had having can could may might must shall should will would
it its this that these those there here he him his she her they them their we us our you your i me my mine one ones
what which who whom whose when where why how whether any some all each every both either neither only just also too
very more most much many such own same other another again about between through during before after while until get
gets got make makes made let lets say says said tell like want wants need needs use used using
ein eine einer eines einem einen der die das den dem des und oder nicht kein keine keinen keiner aber wenn dann als so
am an auf aus bei bis durch fur gegen im in ins mit nach ohne seit uber um unter vom von vor wahrend zu zum zur
ist sind war waren sein bin bist wird werden wurde wurden worden hat habe haben hatte hatten kann kannst konnen konnte
darf durfen muss mussen soll sollen sollte will wollen mochte mag lasst lassen
es er sie ihm ihn ihr ihre ihrem ihren ihrer wir uns unser ihr euch du dich dir dein ich mich mir mein meine meinem
meinen meiner man sich dieser diese dieses diesem diesen jener jede jeder jedes alle allem allen aller
was welche welcher welches welchem welchen wer wem wen wessen wann wo wie warum wieso weshalb wofur womit woher wohin
wodurch ob auch nur noch schon sehr mehr hier dort da dabei dafur damit daran darauf daruber etwas nichts
un une le la les l de du des d et ou ne pas plus mais si alors que qu qui quoi quel quelle quels quelles dont au aux
a dans par pour sur sous sans avec entre vers chez en y il elle ils elles on nous vous je j me m te t se s lui leur
leurs ce c cet cette ces cela ca mon ma mes ton ta tes son sa ses notre nos votre vos est sont etait etre ete suis
ai as avons ont avait avoir fait faire faut peut peux pouvoir doit dois devoir veux veut quand comment pourquoi combien
lequel laquelle lesquels lesquelles aussi tres tout tous toute toutes meme autre autres deja encore apres avant comme
"""
STOPWORDS = frozenset(_WORDS.split())
