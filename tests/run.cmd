@echo off
rem run.cmd - builds and runs the suites on a Windows host.
rem Only what cmd.exe means alike on Windows and under Wine.
setlocal
set ROOT=%~dp0..
set BIN=%ROOT%\build\windows\bin
set PREBUILT=
set PARTS=
set PASSED=0
set FAILED=0

:options
if "%~1"=="" goto start
if /i "%~1"=="--help" goto usage
if /i "%~1"=="-h" goto usage
if /i "%~1"=="--prebuilt" goto option_prebuilt
if /i "%~1"=="unit" goto option_part
if /i "%~1"=="port" goto option_part
if /i "%~1"=="e2e" goto option_part
if /i "%~1"=="quickstart" goto option_part
echo run.cmd: unknown part "%~1"
call :help
exit /b 2
:option_part
set PARTS=%PARTS% %~1
shift
goto options
:option_prebuilt
if "%~2"=="" goto prebuilt_missing
set PREBUILT=yes
set BIN=%~f2
shift
shift
goto options
:prebuilt_missing
echo run.cmd: --prebuilt wants a folder
exit /b 2

:usage
call :help
exit /b 0

:help
echo usage: tests\run.cmd [--prebuilt FOLDER] [PART...]
echo Installs what is missing (MSYS2 packages), builds, and runs the parts; all of them when none is
echo named: unit, port, e2e (suites), quickstart (deploy\quickstart.cmd --once).
echo   --prebuilt FOLDER  use the programs in FOLDER; needs no toolchain
echo Exit code 0 when all passed, 1 when not, 2 for an unknown part.
exit /b 0

:start
if "%PARTS%"=="" set PARTS=unit port e2e quickstart
if "%PREBUILT%"=="yes" goto built
call "%ROOT%\deploy\windows\build.cmd"
if errorlevel 1 exit /b 1
:built
if not exist "%BIN%\troupe.exe" goto programs_missing
for %%p in (%PARTS%) do call :part %%p
echo.
echo %PASSED% passed, %FAILED% failed
if not "%FAILED%"=="0" exit /b 1
if "%PASSED%"=="0" exit /b 1
exit /b 0

:part
if "%1"=="quickstart" goto part_quickstart
rem From within: Wine expands no pattern in quotes.
pushd "%ROOT%\tests\%1"
for %%f in (test_*.c) do call :suite %1 %%~nf
popd
exit /b 0
:part_quickstart
call "%ROOT%\deploy\quickstart.cmd" --once --prebuilt "%BIN%"
call :count quickstart %ERRORLEVEL%
exit /b 0

rem Each suite is a program of the same name as its source.
:suite
if not exist "%BIN%\%2.exe" exit /b 0
echo %1: %2
set LOG=%BIN%\%2.log
pushd "%BIN%"
"%BIN%\%2.exe" >"%LOG%" 2>&1
set CODE=%ERRORLEVEL%
popd
if not "%CODE%"=="0" type "%LOG%"
call :count %2 %CODE%
exit /b 0

:count
if "%2"=="0" goto passed
echo %1: FAILED, exit code %2
set /a FAILED=FAILED+1
exit /b 0
:passed
set /a PASSED=PASSED+1
exit /b 0

:programs_missing
echo run.cmd: troupe.exe is missing in "%BIN%"
exit /b 1
