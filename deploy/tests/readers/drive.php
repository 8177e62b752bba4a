<?php
// Asks the reader what its standard input says, a word a line.
require __DIR__ . '/../../readers/reader.php';
$redis = new Redis();
$redis->connect($argv[1], (int) $argv[2]);
$reader = new WeChatToken($redis);
$last = '';
while (($word = fgets(STDIN)) !== false) {
    $last = trim($word) === 'get' ? $reader->get() : $reader->report($last);
    echo $last ?? '-', "\n";
}
